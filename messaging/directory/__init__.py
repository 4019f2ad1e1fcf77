"""Who exists, who belongs where, who has blocked whom. Built by `wiring`, used through `ports`."""

from __future__ import annotations

from messaging.directory.database import DatabaseDirectory

__all__ = ["DatabaseDirectory"]
