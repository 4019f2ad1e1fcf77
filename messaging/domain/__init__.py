"""Say what a message, an id, a request and an error are. Pure: no input, no output, no Django."""
