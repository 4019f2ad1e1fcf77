"""Hold every text that a trace shows to a person, in English, as the translations know it.

The braces are filled in after the translation.
"""

from __future__ import annotations

from enum import StrEnum


class Text(StrEnum):
    """Name a text of a trace."""

    # the head
    SENT = "sent {time} by worker {worker} of datacenter {datacenter}"
    CONVERSATION = "conversation {conversation}, log partition {partition}"
    NO_CONVERSATION = "conversation not known, so every partition was searched"
    # the steps and the places
    ACCEPTED = "accepted"
    APPENDED = "appended"
    PERSISTED = "persisted"
    RECALLED = "recalled"
    FATE = "fate"
    CACHE = "Redis"
    LOG = "log"
    STORE = "database"
    # facts of any place
    AWAY = "away: no answer in time"
    NOTHING = "nothing of this message"
    ALIAS = "alias of message {id}"
    RECORD = "its idempotency record"
    RECORD_OTHER = "its idempotency record names message {id}"
    # facts of Redis
    DETAIL = "detail {status}"
    NO_DETAIL = "no detail"
    PENDING_MARK = "pending mark"
    NO_PENDING_MARK = "no pending mark"
    ATTEMPTS = "attempts of the compensation: {count}"
    LISTED = "listed in the tail"
    NOT_LISTED = "not listed in the tail"
    RECALL_MARK = "recall mark"
    # facts of the log
    EVENT = "{event} at partition {partition}, offset {offset}"
    COMMITTED = "committed"
    NOT_COMMITTED = "not committed"
    MORE_EVENTS = "further events: {count}"
    NO_EVENT = "no event, in {count} records since the minute before the id's time"
    LAG = "lag {count}"
    CUT_OFF = "search cut off after {count} records"
    # facts of the database
    ROW = "row with seq {seq}"
    TOMBSTONE = "tombstone with seq {seq}"
    NO_ROW = "no row"
    MARKED = "marked {status}"
    DELETES = "deletes {count}"
    HINTS = "hints {count}"
    LETTER = "dead letter {state}"
    REPEATS = "the send repeats message {id}"
    # a recall
    RECALL_STORED = "the tombstone is stored"
    RECALL_NOT_STORED = "the tombstone is not stored yet"
    # further fates, in the words of the audit, each with the next step where a person has one
    IS_DUPLICATE = "duplicate: the send repeats message {id}"
    IS_DEAD_LETTER = "dead letter: replay or discard it"
    IS_DISCARDED = "discarded by a person"
    IS_PENDING = "pending: the consumer stores it, or the compensation does within minutes"
    IS_UNDER_WAY = "under way: the consumer has not come to its event yet"
    IS_UNACCOUNTED = "unaccounted: nothing brings it to the database; run manage.py audit"
    IS_UNKNOWN = "unknown: no place knows this id"
    IS_NOT_CLEAR = "not clear: ask again when every place answers and has the time for it"
    NOT_CERTAIN = "not certain: a place is away, or the search was cut off"
    # the page
    TITLE = "Trace of a message"
    TRACE = "trace"
    ID = "Message id"
    ASK = "Trace"
    HELP = "Asks Redis, the log and the database, for two seconds each."
    BAD_ID = "This is no message id: an id is a number of 1 to 19 digits."
