"""Dockerfiles become images: the language, the graph of steps, their cache, and what is put out."""
