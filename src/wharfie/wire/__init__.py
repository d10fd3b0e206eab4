"""What goes over the wire: Engine API types and the stdcopy framing."""
