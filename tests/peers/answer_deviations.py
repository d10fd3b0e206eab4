"""Where the shapes of our answers are others than those of Docker's, each with its reason: to be reviewed.

A pattern (fnmatch) of ``version method path``, one of the field, and why. What is not here and deviates fails
the test by name; so does what is here and never occurs.
"""

from __future__ import annotations

FIELDS: list[tuple[str, str, str]] = []
