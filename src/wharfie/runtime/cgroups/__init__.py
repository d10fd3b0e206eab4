"""Control groups behind one interface: version 1 (also hybrid) and 2. Start at ``select.open_cgroup``."""
