"""The report of a run: its model, and its renderings as HTML and in a terminal."""
