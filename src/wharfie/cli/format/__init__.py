"""Go templates, as far as ``--format`` uses them, and Docker's tables."""
