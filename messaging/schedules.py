"""When Celery beat is due. Used by the settings of the site."""

from __future__ import annotations

from datetime import datetime

from celery.schedules import schedstate, schedule


class Every(schedule):  # type: ignore[misc]  # untyped
    """As Celery's own, but due at once after the clock was set back.

    Beat keeps the time of the last run, in its file too, and would wait until that has come again.
    """

    def is_due(self, last_run_at: datetime) -> schedstate:
        """Return whether it is due, and the seconds until beat is to look again."""
        if self.maybe_make_aware(last_run_at) > self.now():
            return schedstate(is_due=True, next=self.seconds)
        return super().is_due(last_run_at)
