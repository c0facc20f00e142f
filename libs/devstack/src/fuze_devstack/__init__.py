"""The embedded stack for development, demos and end-to-end tests."""
