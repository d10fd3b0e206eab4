"""Container networks: bridge, addresses, firewall and the files that name them."""
