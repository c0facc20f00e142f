"""A codec server: encrypts and decrypts payloads for Temporal's Web UI and command line."""
