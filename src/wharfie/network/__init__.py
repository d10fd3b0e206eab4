"""Networks of containers: the default bridge, addresses, firewall, and the files that name hosts.

The daemon talks to :class:`wharfie.network.manager.NetworkManager`; the rest of the package serves it.
"""
