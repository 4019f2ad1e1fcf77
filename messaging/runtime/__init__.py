"""Build a process of the service out of its parts, and run the process."""
