"""Write, read and inspect the log on Redis Streams."""
