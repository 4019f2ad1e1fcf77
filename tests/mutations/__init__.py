"""The code with one promise broken in each copy, and the check that notices."""
