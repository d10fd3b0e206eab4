"""wharfie beside Docker, Podman and runc on one machine, in one run, as ratios."""

import sys
from pathlib import Path

# a clone is not installed
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
