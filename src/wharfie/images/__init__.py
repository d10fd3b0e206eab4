"""The content-addressed image store, its catalog, layers, registry client and archives."""
