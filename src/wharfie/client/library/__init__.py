"""The Python client: ``wharfie.Client`` and ``wharfie.AsyncClient`` over one description of what they do."""
