"""Reach the database: threads, errors and fields, for the store and the directory alike."""
