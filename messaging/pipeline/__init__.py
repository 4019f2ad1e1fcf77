"""How messages move: accepted, read from the log in batches, repaired, set aside."""
