"""Answer the most frequent calls on a short path that bypasses Django.

The gateway is a door like `messaging.api`: it parses, runs one use case and represents the result,
with the same parsers, use cases and representations. Every request that the gateway does not
recognise is left to Django.
"""

from __future__ import annotations
