"""Write, read and inspect the log on Kafka."""
