"""Measure one lap of load after the other: its results, and its cost to each process."""
