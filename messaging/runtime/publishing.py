"""Publish the changes that a use case has made, from the event loop of the process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from messaging.cache.change_feed import ChangeListener, publish
from messaging.conf import Settings
from messaging.domain.backend_errors import CacheUnavailable
from messaging.domain.changes import Change, Notice
from messaging.service.backends import Publish

logger = logging.getLogger(__name__)


def publisher(listener: ChangeListener, settings: Settings) -> Publish:
    """Return what tells this process's listener of changes at once, and then the other processes.

    A failure is logged: the other processes learn of the changes when their answers expire.
    """

    async def tell(changes: Sequence[Change]) -> None:
        listener.take(changes)
        notice = Notice(listener.origin, tuple(changes))
        try:
            await asyncio.to_thread(publish, settings, notice)
        except CacheUnavailable:
            logger.warning(
                "other processes did not get a change of a group; they learn of it in seconds",
                extra={"action": "changes.not_published", "count": len(changes)},
            )

    return tell
