"""The command line: Docker's commands, options and words."""
