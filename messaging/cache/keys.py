"""Define the name and the time to live of every Redis key of the message cache.

Pure. Only the adapters of this package use the module, and no other code spells a key. The scripts
get the names and the times as constants (`lua.load`), so that each one stands here alone. Bounds
that every message cache has are in `ports.cache` and `ports.cache_service`.

A docstring below gives the Redis type of the key, the content, and the time to live.
"""

from __future__ import annotations

PREFIX = "msg:"
DETAIL = "msg:detail:"
CANCEL = "msg:cancel:"
DEDUPE = "msg:dedupe:"
TAIL = "msg:conv:"
LOADED = "msg:conv:loaded:"
DELETED = "msg:deleted:"
HEAD = "msg:head:"
MINE = "msg:mine:"

RATE = "msg:rate:"
"""Begin the key of a sender's rate: a string, the time (µs) up to which the rate is used.

The sender's id follows. The key expires when that time is past.
"""

PENDING = "msg:pending"
"""Hold the pending ids in a sorted set, by send time (ms); an id leaves when it is persisted."""

ATTEMPTS = "msg:pending:attempts"
"""Count in a hash the compensation's attempts by pending id; a count ends with the pending mark."""

PENDING_BYTES = "msg:pending:bytes"
"""Hold as a string the bytes that the details of pending ids take; dropped when none is pending."""

CANCELS = "msg:cancels"
"""Hold in a set the ids of all messages that have a recall mark."""

INCARNATION = "msg:incarnation"
"""Describe in a hash the present start of the Redis server, its incarnation. No expiry.

`id`: the server's run id. `noticed_ms`: the time of the first heartbeat since the start; copies of
the store that are older are hidden. `complete_from`: the time (s) from which Redis is complete. A
new such time is set when a process returns to Redis or ends without a word. The field is missing
until a process has rewritten the writes that the restart may have lost.
"""

HEARTBEATS = "msg:heartbeats"
"""Hold in a sorted set the processes that accept messages, by the time (s) of the last heartbeat.

The key ends with the last of these processes.
"""

USED = "msg:workers"
"""Hold in a hash by worker id the end of its ids' times: `{time (ms)} {owner}`. No expiry."""

HELD = "msg:held"
"""Announce by a string, for 45 seconds, that a consumer has a held partition.

A consumer holds a partition at an event that a newer release wrote.
"""

GUARD = "msg:guard:"
"""Begin the key of a group's guard: a sorted set of users whose rights in the group are in doubt.

The conversation's id follows. A user's id, or `*` for everybody, has as score the time (ms) until
which processes are to distrust what they remember of these rights. The scores of one key grow
strictly. `^` has as score the floor's time (ms): a message with an id of that time or before is
refused. The key lives for 30 seconds from the last change.
"""

CHANGES = "msg:changes"
"""Carry changes about people on a channel, as a JSON list of `domain.changes`. Not stored."""

DETAIL_TTL_S = 30 * 60
TAIL_TTL_S = 30 * 60
DELETED_TTL_S = 30 * 60
IDEMPOTENCY_TTL_S = 24 * 60 * 60
TAIL_REFRESH_S = 60
EMPTY_TAIL = "empty"
FILLED = "="
FILLING = "?"


def detail(message_id: int) -> str:
    """Return the key of a message's detail: a string, the message in JSON.

    The key has no expiry while the message is PENDING or under a recall mark, then 30 minutes.
    """
    return f"{DETAIL}{message_id}"


def tail(conversation_id: str) -> str:
    """Return the key of a conversation's tail: a list of the newest message ids, newest first.

    The key lives for 30 minutes, and has no expiry while the newest id is pending. The list is
    capped at 1,000 ids; a pending id beyond the cap is kept, and so are the ids newer than that id.
    """
    return f"{TAIL}{conversation_id}"


def loaded(conversation_id: str) -> str:
    """Return the key of a tail's loaded mark: a string, how far down the list is complete.

    The mark lives as long as the list. A stamp `{noticed_ms}/` before the value names the start of
    Redis under which the mark was set; under another start the mark does not count.

    `{floor}:{base}`: the list has every message above the id `floor`, and `base` counts the rest.
    `empty`: the conversation has no message.
    `?{token}`: a reader fills the list; 10 seconds.
    `?{token}:{lowest}`: the same; listed messages, the lowest id `lowest`, were stored meanwhile.
    """
    return f"{LOADED}{conversation_id}"


def cancel(message_id: int) -> str:
    """Return the key of a recall mark: a string, `{recall time (ms)}` or `{recall time}:{userId}`.

    The user is the one who recalled, where that is not the sender.
    The mark lives until the tombstone is stored.
    """
    return f"{CANCEL}{message_id}"


def guard(conversation_id: str) -> str:
    """Return the key of a group's guard, as at `GUARD`."""
    return f"{GUARD}{conversation_id}"


def deleted(user_id: int) -> str:
    """Return the key of a user's deletes: a set of message ids, and `={token}`. 30 minutes."""
    return f"{DELETED}{user_id}"


def floors(user_id: int) -> str:
    """Return the key of a user's floors: a hash by conversation, `{floor_id}:{floor_seq}`.

    The field without a name is `{token}` of a fill, or `{token}:{floor}` after the fill, with a
    stamp before it (`loaded`). After the fill the set of deletes is complete above the id `floor`,
    and all floors are in the hash, while the set has the member `={token}`, too. The hash lives as
    long as the set.
    """
    return f"msg:deleted:floors:{user_id}"


def head(conversation_id: str) -> str:
    """Return the key of a conversation's head: a hash, the largest numbers that were told.

    `last`: `{seq},{rev},{id}` of the last message, the last change and the message with the largest
    id. `party{userId}`: `{read seq},{delivered seq}` of a party of a private conversation.
    `stamp`: `{noticed_ms}/{complete_from}/`, as `INCARNATION` had them when the head was made;
    under another stamp the head does not count. `born`: the time (µs) when the head was made.
    `whole`: the numbers are those of the database; without the field some may be missing.

    The head lives for 30 minutes from the last number that was told.
    """
    return f"{HEAD}{conversation_id}"


def mine(user_id: int) -> str:
    """Return the key of a user's participants: a hash of all of them, by conversation.

    A participant is a JSON list that begins with `rev` and `delivered_seq`. The field `=` has the
    token of the fill, and without the field nothing counts. The field `?` has the token of a fill
    that is under way, `{stamp}{time (µs)}/{keys evicted by Redis so far}`, with the stamp of
    `head`. A change of a participant takes the field away. The key lives for 30 minutes, and for 10
    seconds before the first fill.
    """
    return f"{MINE}{user_id}"


def unread(user_id: int) -> str:
    """Return the key of a user's numbers of unread messages: a hash, by conversation. 30 minutes.

    A value is `[{seq},{rev},{own rev},{number}]`: the head's `seq` and `rev`, and the participant's
    `rev`, for which the number counts.
    """
    return f"msg:unread:{user_id}"


def dedupe(user_id: int, client_msg_id: str) -> str:
    """Return the key of an idempotency record: a string, `{messageId}:{bodyHash}`. 24 hours."""
    return f"{DEDUPE}{user_id}:{client_msg_id}"


def alias(message_id: int) -> str:
    """Return the key of an alias: a string, the id of the message that a repeated send leads to.

    The alias lives for 30 minutes: it serves until the store has deduplicated the repeated send.
    """
    return f"msg:alias:{message_id}"


def shared_rate(kind: str, digest: str) -> str:
    """Return the key of a rate of one `kind`, such as password attempts or registrations.

    `digest`: of the property that the counted requests share. Content and expiry are as at `RATE`.
    """
    return f"{RATE}{kind}:{digest}"


def worker(node: int) -> str:
    """Return the key of a worker id's lease: a string, its owner's token.

    `node`: the worker id as one number, `datacenter * 32 + worker`.
    """
    return lease(f"worker:{node}")


def lease(name: str) -> str:
    """Return the key of a named lease: a string, its owner's token. Lives as long as the lease."""
    return f"{PREFIX}{name}"
