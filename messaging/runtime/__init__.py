"""Build a process out of its parts, and run it."""
