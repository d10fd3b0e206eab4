"""Docker's paths, one module per noun; each has a function from a backend to its routes."""
