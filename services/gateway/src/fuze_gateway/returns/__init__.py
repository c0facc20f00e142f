"""Returns of shipped orders."""
