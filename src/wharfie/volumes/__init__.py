"""Named and anonymous volumes, and what a container mounts."""
