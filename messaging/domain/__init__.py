"""Define messages, ids, requests and errors.

Pure: no input, no output, no Django.
"""
