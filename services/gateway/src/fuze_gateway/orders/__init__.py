"""Orders: place, read, search, stream, and change them."""
