"""Implement the use cases of the message service, one a file, against the ports alone."""
