"""From Docker's configuration to an OCI one: each module makes one part, config.py puts them together."""
