"""Decide when a task of Celery beat is due; used by the settings of the site."""

from __future__ import annotations

from datetime import datetime

from celery.schedules import schedstate, schedule


class Every(schedule):  # type: ignore[misc]  # untyped
    """Schedule as Celery's own class does, but be due at once after the clock was set back.

    Beat keeps the time of the last run, also in its file, and would wait until this time has come
    again.
    """

    def is_due(self, last_run_at: datetime) -> schedstate:
        """Tell whether the task is due, and after how many seconds beat is to ask again."""
        if self.maybe_make_aware(last_run_at) > self.now():
            return schedstate(is_due=True, next=self.seconds)
        return super().is_due(last_run_at)
