"""The message service: one use case a file, written against ports alone."""
