"""Answer questions about users, group members and blocks.

Built by `runtime`, used through `ports`.
"""

from __future__ import annotations

from messaging.directory.database import DatabaseDirectory

__all__ = ["DatabaseDirectory"]
