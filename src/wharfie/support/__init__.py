"""Small named leaves that every layer may use: atomic files, ids, JSON, tasks, units."""
