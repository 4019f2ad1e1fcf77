"""The message tables, and the only raw SQL: one module a dialect."""

from __future__ import annotations

from messaging.store.database import DatabaseStore

__all__ = ["DatabaseStore"]
