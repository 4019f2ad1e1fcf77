"""Implement the ports in memory, for tests.

No running site may use these parts.
"""

from __future__ import annotations
