"""A thin HTTP client of the Engine API that starts in microseconds."""
