"""Compare the acknowledged messages with the stored ones."""
