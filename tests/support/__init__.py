"""Serve every kind of test: servers to start and break, clients, and the service over memory."""
