"""Second implementations of the ports, in memory, for tests. No running site may use them."""

from __future__ import annotations
