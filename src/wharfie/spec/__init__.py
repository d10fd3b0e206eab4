"""The OCI runtime specification as data: defaults, tables and names."""
