"""The gateway: the short way in for the calls that are made most, past Django.

A door like `messaging.api`: it parses, runs one use case and represents what that returns, with the
same parsers, use cases and representations. Whatever it does not know it leaves to Django.
"""

from __future__ import annotations
