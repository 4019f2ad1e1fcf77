"""Serve the message cache and the feed of changes about people from Redis.

The message cache is the hot copy of messages: `runtime` builds it, and other code uses it through
`ports.cache`.
"""
