"""wharfie beside Docker and Podman on one machine, in one run, as ratios."""
