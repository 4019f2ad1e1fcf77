"""Chat in a terminal, over HTTP alone: a client that knows nothing of the service but its API."""

from __future__ import annotations
