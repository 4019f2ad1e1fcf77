"""Define the message, and the join of two of its states.

Pure: no I/O, no Django. A message is a state that only moves up (NORMAL, then RECALLED). An event
of the log carries such a state whole, so applying events is a *join*: commutative, associative,
idempotent. Any order, any number of repeats and any detour through compensation end in the same row
(see `join`).
"""

from __future__ import annotations

import hashlib
from enum import IntEnum, StrEnum

import msgspec
from msgspec.structs import replace

from messaging.domain.groups import Notice

ID_MAX = 2**63 - 1

_encode = msgspec.json.Encoder().encode


class ChatType(IntEnum):
    PRIVATE = 1
    GROUP = 2


class MsgType(IntEnum):
    TEXT = 1
    IMAGE = 2
    VIDEO = 3
    FILE = 4
    VOICE = 5
    NOTICE = 9  # of a change of a group; the service alone writes notices


class Status(IntEnum):
    """Name the state of a message; the larger one wins a join."""

    NORMAL = 0
    RECALLED = 1


class PersistStatus(StrEnum):
    PENDING = "PENDING"
    PERSISTED = "PERSISTED"


Key = tuple[int, str]  # sender, clientMsgId
SendKey = tuple[int, str, str]  # the same, and the hash of the body


class Recall(msgspec.Struct, frozen=True, gc=False):
    """Hold the time of a recall (ms), and the user who recalled; None stands for the sender."""

    time: int
    by: int | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Hold one message as every layer knows it; times are milliseconds since 1970 (UTC)."""

    id: int
    conversation_id: str
    from_user_id: int
    to_id: int  # a user's id in a private chat, a group's id in a group chat
    chat_type: ChatType
    msg_type: MsgType
    content: str
    url: str | None
    at_user_ids: tuple[int, ...]
    client_msg_id: str | None
    body_hash: str  # kept when a recall takes the content; see `hash_body`
    send_time: int
    status: Status = Status.NORMAL
    recall_time: int | None = None
    recalled_by: int | None = None  # None: the sender, where the message is recalled
    notice: Notice | None = None
    seq: int | None = None  # given by the store with the row
    rev: int = 0  # given by the store with a change of the row; 0: as sent

    @property
    def persist_status(self) -> PersistStatus:
        """Return PERSISTED exactly when the store has given a `seq`."""
        return PersistStatus.PENDING if self.seq is None else PersistStatus.PERSISTED

    @property
    def key(self) -> Key | None:
        """Return the key of the send's idempotency record; None without a clientMsgId."""
        return None if self.client_msg_id is None else (self.from_user_id, self.client_msg_id)

    @property
    def send_key(self) -> SendKey | None:
        """Return the key by which a repeat of the send is known; None without a clientMsgId."""
        return None if (key := self.key) is None else (*key, self.body_hash)

    @property
    def is_recalled(self) -> bool:
        return self.status is Status.RECALLED

    @property
    def recall(self) -> Recall | None:
        return None if self.recall_time is None else Recall(self.recall_time, self.recalled_by)

    def under(self, recall: Recall) -> Message:
        """Return the tombstone that this recall makes of the message."""
        return self.recalled(recall.time, recall.by)

    def recalled(self, recall_time: int, recalled_by: int | None = None) -> Message:
        """Return the tombstone: the same message without what it said."""
        return replace(
            self,
            status=Status.RECALLED,
            recall_time=recall_time,
            recalled_by=recalled_by,
            content="",
            url=None,
            at_user_ids=(),
        )

    def without_seq(self) -> Message:
        """Return the state that a store joins; the store gives `seq` and `rev` itself.

        A tombstone says nothing.
        """
        if self.is_recalled:
            return replace(self, seq=None, rev=0, content="", url=None, at_user_ids=())
        return self if self.seq is None else replace(self, seq=None, rev=0)


def hash_body(
    *,
    to_id: int,
    chat_type: int,
    msg_type: int,
    content: str,
    url: str | None,
    at_user_ids: tuple[int, ...],
) -> str:
    """Return the hash by which two sends with one clientMsgId are known as the same send.

    The hash has 32 hexadecimal digits.
    """
    body = _encode((to_id, chat_type, msg_type, content, url, at_user_ids))
    return hashlib.blake2b(body, digest_size=16).hexdigest()


def is_same(one: Message, other: Message) -> bool:
    """Tell whether two states with one id are of one message.

    The compared fields outlive a recall.
    """
    return (
        one.from_user_id == other.from_user_id
        and one.conversation_id == other.conversation_id
        and one.send_time == other.send_time
        and one.client_msg_id == other.client_msg_id
        and one.body_hash == other.body_hash
    )


def join(one: Message, other: Message) -> Message:
    """Return the least state that is at least both: recalled if either is, at the earlier time.

    The larger `rev` counts.

    Of two recalls at one time, that of the sender counts, then that of the smaller id.

    Raises: ValueError for two ids.
    """
    if one.id != other.id:
        raise ValueError(f"join of two messages: {one.id} and {other.id}")
    upper, lower = (one, other) if one.status >= other.status else (other, one)
    recalls = [
        (m.recall_time, m.recalled_by or 0) for m in (one, other) if m.recall_time is not None
    ]
    recall_time, recalled_by = min(recalls, default=(None, 0))
    return replace(
        upper,
        seq=upper.seq if upper.seq is not None else lower.seq,
        rev=max(one.rev, other.rev),
        recall_time=recall_time,
        recalled_by=recalled_by or None,
    )
