"""Serve the HTTP API under Django REST framework: parse, run one use case, represent.

The package holds no rules.
"""

from __future__ import annotations
