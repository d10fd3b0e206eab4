"""The porter: one process per engine that knows the way when the daemon does not live.

It answers the containers' questions for names (127.0.0.11 in their network namespaces), keeps the sockets
that reserve published ports, and carries what the packet filter cannot lead: one family to the other, and
ports for which the host's own firewall rules are to apply. It outlives the daemon, which tells it everything
anew when it comes back.
"""
