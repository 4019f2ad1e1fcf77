"""Reach the database, by threads, errors and fields that the store and the directory share."""
