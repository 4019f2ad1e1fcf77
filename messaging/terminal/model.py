"""Keep what a client knows, by applying the answers of sync in their order.

Pure. The terminal client and the tests of sync use this model. An answer may be applied twice: of
two states of a message the greater (status, `rev`) counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = Mapping[str, Any]
Gap = tuple[int, int]

SYNC_FIELDS = frozenset(
    {
        "messages",
        "covers",
        "gap",
        "changes",
        "deletedIds",
        "pending",
        "left",
        "reset",
        "position",
    }
)


@dataclass
class Conversation:
    """Hold one conversation.

    `about`: its object of the API. `messages`: the stored ones by id. `pending`: those that are
    accepted and not stored, by id. `gaps`: spans of `seq` that were left out. `deleted`: ids that
    are never shown again, whatever a later answer has.
    """

    about: dict[str, Any] = field(default_factory=dict)
    messages: dict[str, Json] = field(default_factory=dict)
    pending: dict[str, Json] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    deleted: set[str] = field(default_factory=set)
    position: str | None = None

    @property
    def in_order(self) -> list[Json]:
        """Return the messages as history orders them, the oldest first."""
        return sorted([*self.messages.values(), *self.pending.values()], key=_id)

    def apply(self, told: Json, *, partial: bool = False) -> None:
        """Apply what an answer tells of this conversation.

        `partial`: the answer may lack pending messages, so the known ones stay.
        """
        known = self.pending if partial else {}
        self.about = {name: value for name, value in told.items() if name not in SYNC_FIELDS}
        self.position = told["position"] or self.position
        self.pending = known | {message["messageId"]: message for message in told["pending"]}
        self.deleted.update(told["deletedIds"])
        for message_id in told["deletedIds"]:
            self.messages.pop(message_id, None)
        for message in (*told["messages"], *told["changes"]):
            self._take(message)
        for message_id in self.pending.keys() & (self.messages.keys() | self.deleted):
            del self.pending[message_id]
        if told["gap"] is not None:
            self.gaps.append((told["gap"][0], told["gap"][1]))
        self._drop_hidden(int(told["floorId"] or 0))

    def fill(self, page: Json) -> None:
        """Apply a page of the first gap, which was asked for from its beginning."""
        for message in page["list"]:
            self._take(message)
        _, last = self.gaps.pop(0)
        if page["nextFromSeq"] is not None:
            self.gaps.insert(0, (page["nextFromSeq"], last))

    def _take(self, message: Json) -> None:
        message_id = message["messageId"]
        self.pending.pop(message_id, None)
        if message_id in self.deleted:
            return
        known = self.messages.get(message_id)
        if known is None or _rank(message) >= _rank(known):
            self.messages[message_id] = message

    def _drop_hidden(self, floor_id: int) -> None:
        for states in (self.messages, self.pending):
            for message_id in [each for each in states if int(each) <= floor_id]:
                del states[message_id]


@dataclass
class Model:
    """Hold all conversations of a client by id, and the cursor for the next call."""

    conversations: dict[str, Conversation] = field(default_factory=dict)
    cursor: str | None = None
    _named: set[str] = field(default_factory=set)  # by the answers of the round under way
    _lacks: bool = False  # one of these answers was partial

    def apply(self, answer: Json) -> None:
        for told in answer["conversations"]:
            name = told["conversationId"]
            self._named.add(name)
            if told["left"] or told["reset"]:
                self.conversations.pop(name, None)
            if not told["left"]:
                known = self.conversations.setdefault(name, Conversation())
                known.apply(told, partial=answer["partial"])
        self.cursor = answer["cursor"]
        self._lacks |= answer["partial"]
        if not answer["hasMore"]:
            if not self._lacks:
                self._drop_pending()
            self._named.clear()
            self._lacks = False

    @property
    def gaps(self) -> Sequence[tuple[str, Gap]]:
        """Return the first gap of each conversation that has one."""
        return [(name, each.gaps[0]) for name, each in self.conversations.items() if each.gaps]

    def _drop_pending(self) -> None:
        """Drop the pending messages of conversations that a whole round has not named.

        A round is whole where none of its answers was partial: each answer tells other
        conversations, and a partial one may lack some. A conversation with pending messages is
        named in each round. A message that is neither pending nor stored was a repeat of another
        one, or could not be stored.
        """
        for name, conversation in self.conversations.items():
            if name not in self._named:
                conversation.pending.clear()


def _id(message: Json) -> int:
    return int(message["messageId"])


def _rank(message: Json) -> tuple[bool, int]:
    return message["status"] == "RECALLED", message["rev"] or 0
