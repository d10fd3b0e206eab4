"""BuildKit's protocol before our builder: gRPC in both directions on connections that were HTTP/1.1."""
