"""The HTTP API under Django REST framework: parse, run one use case, represent. No rules here."""

from __future__ import annotations
