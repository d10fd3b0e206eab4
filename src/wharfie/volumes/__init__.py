"""Volumes, and what ``-v``, ``--mount`` and ``--tmpfs`` mean."""
