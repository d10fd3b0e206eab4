"""The OCI runtime: turns a bundle into an isolated process, and joins, signals and deletes it."""
