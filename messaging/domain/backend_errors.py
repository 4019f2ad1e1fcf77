"""Define the errors that adapters raise, typed by what the caller should do about each.

An adapter raises a `BackendError` to a pipeline or a use case, which decides: wait and try again,
bisect, or take another road. Vendor exceptions never pass an adapter; each is the `__cause__` of
one of these errors.
"""

from __future__ import annotations

from messaging.domain.errors import MessagingError


class BackendError(MessagingError):
    """A backing service failed."""


class CacheUnavailable(BackendError):
    """Redis did not confirm in time: the outcome is unknown, assume neither done nor undone."""


class LogUnavailable(BackendError):
    """The log did not confirm in time: the record may still appear in it."""


class RecordTooLarge(BackendError):
    """The log refuses a record of this size; a retry cannot help."""


class TopicMismatch(BackendError):
    """A topic of the log exists already, with another number of partitions."""


class CommitRefused(BackendError):
    """The partition belongs to another reader now; its records will be delivered there again."""


class StoreUnavailable(BackendError):
    """The database cannot take this now; the same call may be repeated for as long as needed.

    `is_outage`: the database is out of reach altogether, for every call.
    """

    def __init__(self, text: str | None = None, *, is_outage: bool = False) -> None:
        super().__init__(text)
        self.is_outage = is_outage


class StoreBusy(StoreUnavailable):
    """The database is busy: it answers probes, but has no thread or time for this call."""


class BadData(BackendError):
    """The database refuses a value: nothing was stored, a retry of the same batch cannot help."""


class ValueRefused(BadData):
    """The driver or the server refuses a value; the store decides whether the value is bad."""


class PoisonRecord(BackendError):
    """A record of the log that cannot be read as an event; it belongs in the dead letters."""


class NewerEvent(PoisonRecord):
    """An event that only a newer release can read; it waits in the log for that release."""


class LeaseLost(BackendError):
    """Another process holds this worker id: nothing was written, take new ids and try again."""
