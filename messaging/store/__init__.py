"""Keep the message tables, with the only raw SQL: one module a dialect."""

from __future__ import annotations

from messaging.store.database import DatabaseStore
from messaging.store.inspector import DatabaseInspector

__all__ = ["DatabaseInspector", "DatabaseStore"]
