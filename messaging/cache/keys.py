"""The name, the life and the cap of every key in Redis. Pure.

The adapters of this package call it; nothing else spells a key. The scripts get the lives and caps
as constants (`lua.load`), so that each number stands here alone.
"""

from __future__ import annotations

from collections.abc import Iterable

PREFIX = "msg:"
DETAIL = "msg:detail:"
CANCEL = "msg:cancel:"
DEDUPE = "msg:dedupe:"
LOADED = "msg:conv:loaded:"
DELETED = "msg:deleted:"

COPIES = (DETAIL, LOADED, DELETED)
"""How the keys begin whose content the store has as well, but for what is pending or recalled."""

COPIES_AND_MARKS = "msg:[cd][aeo][lnt]*"
"""A pattern for these and the recall marks, and not for the claims, of which there are far more."""

PENDING = "msg:pending"
"""Sorted set: the ids that are not in the store yet, by send time (ms). Lives until persisted."""

ATTEMPTS = "msg:pending:attempts"
"""Hash: how often compensation has tried to persist a pending id. Lives with the pending mark."""

PENDING_BYTES = "msg:pending:bytes"
"""String: how many bytes the details of pending ids take. Goes when nothing is pending."""

EPOCH = "msg:epoch"
"""String: when (s) a process came back to Redis, or it was found empty; `?` until somebody has made
good what a restart may have lost. Lives for ever."""

RUN = "msg:run"
"""String: the run id of the server for which that was done. Lives for ever."""

PRESENT = "msg:present"
"""Sorted set: the processes that accept messages, by when (s) each has reached Redis. Until all
have ended."""

USED = "msg:workers"
"""Hash by node: `{time (ms)} {owner}`, up to which the worker id's ids may be. Lives for ever."""

HELD = "msg:held"
"""String: a consumer holds a partition at an event of a newer release. 45 seconds."""

CHANGES = "msg:changes"
"""Channel: what has changed about people, a list of `domain.changes` in JSON. Not kept."""

DETAIL_TTL_S = 30 * 60
TAIL_TTL_S = 30 * 60
DELETED_TTL_S = 30 * 60
CLAIM_TTL_S = 24 * 60 * 60
FILL_TTL_S = 10
TAIL_REFRESH_S = 60
TAIL_CAP = 1_000
RECOVERS_S = 3  # after which all processes have told Redis what they did without it
SILENT_S = 1  # after which such a process is missed: it has died, or has lost Redis
MOST_LOOKED_AT = 2_000  # ids of a list for one page, however many of them its reader has deleted

EMPTY_TAIL = "empty"
UNSETTLED = "?"


def detail(message_id: int) -> str:
    """String, JSON: the message. No TTL while PENDING or under a recall mark, then 30 minutes."""
    return f"{DETAIL}{message_id}"


def tail(conversation_id: str) -> str:
    """List: ids of the latest messages, newest first. 30 minutes, none while the head is pending.

    Capped at 1,000, above which only pending ids are kept.
    """
    return f"msg:conv:{conversation_id}"


def loaded(conversation_id: str) -> str:
    """String, lives with the list: how far down the list is complete.

    `{floor}:{base}`: the list is every message above the id `floor`, and `base` counts the rest.
    `empty`: the conversation has no message. `?{token}` while a reader fills the list, with
    `:{lowest}` behind it once listed messages were stored meanwhile.
    """
    return f"{LOADED}{conversation_id}"


def cancel(message_id: int) -> str:
    """String: the recall mark, a recall time (ms). Lives until the tombstone is stored."""
    return f"{CANCEL}{message_id}"


def deleted(user_id: int) -> str:
    """Set: message ids that the user deleted, and `>{floor}`. 30 minutes."""
    return f"{DELETED}{user_id}"


def deletes_floor(user_id: int) -> str:
    """String: the id above which the set is complete, while `>{floor}` is in it. As long as it."""
    return f"msg:deleted:floor:{user_id}"


def dedupe(user_id: int, client_msg_id: str) -> str:
    """String `{messageId}:{bodyHash}`: the send that a clientMsgId stands for. 24 hours."""
    return f"{DEDUPE}{user_id}:{client_msg_id}"


def alias(message_id: int) -> str:
    """String: the message that this id of a repeated send leads to, until it is folded. 30 min."""
    return f"msg:alias:{message_id}"


def rate(user_id: int) -> str:
    """String: the time (µs) up to which a sender has used its rate. Lives until that is past."""
    return f"msg:rate:{user_id}"


def shared_rate(kind: str, digest: str) -> str:
    """String: the same of tried passwords or registrations, by a digest of what they share."""
    return f"msg:rate:{kind}:{digest}"


def worker(node: int) -> str:
    """String: the owner's token of a leased worker id (`datacenter * 32 + worker`)."""
    return lease(f"worker:{node}")


def lease(name: str) -> str:
    """String: the token of a named lease's owner. Lives as long as the lease."""
    return f"{PREFIX}{name}"


def rates(user_ids: Iterable[int], *, after: int) -> tuple[list[str], dict[int, int]]:
    """The rate of each user, once each, for a script's KEYS; and where in KEYS, as in `tails`."""
    distinct = list(dict.fromkeys(user_ids))
    return [rate(each) for each in distinct], {
        each: after + 1 + n for n, each in enumerate(distinct)
    }


def tails(conversation_ids: Iterable[str], *, after: int) -> tuple[list[str], dict[str, int]]:
    """The list and the loaded mark of each conversation, once each, for a script's KEYS.

    Also where in KEYS (counted from 1) each conversation's list is, with `after` keys before.
    """
    distinct = list(dict.fromkeys(conversation_ids))
    names = [name for each in distinct for name in (tail(each), loaded(each))]
    return names, {each: after + 1 + 2 * n for n, each in enumerate(distinct)}
