"""Read requests and write answers, for each door alike: bodies, tokens, envelopes, fields."""
