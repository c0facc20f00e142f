"""The pages, by the part of the console that they belong to."""
