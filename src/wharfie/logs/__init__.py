"""Container logs on disk: Docker's json-file format, written in bulk and read from the end."""
