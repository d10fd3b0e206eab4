"""The spawner, the monitor of each container, their protocol and the daemon's client for it."""
