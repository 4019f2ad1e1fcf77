"""Name the conversations of the cast, as each person addresses them."""

from __future__ import annotations

from dataclasses import dataclass

from messaging.domain.ids import group_conversation, private_conversation
from tests.faults.rig import Cast

PRIVATE, GROUP = 1, 2  # chatType


@dataclass(frozen=True, slots=True)
class Place:
    """Name a conversation as one of its members addresses the conversation."""

    conversation: str
    target: int
    chat_type: int


def places_of(cast: Cast, user: int) -> list[Place]:
    """Return two private conversations of this person, and the group."""
    people = sorted(cast.tokens)
    index = people.index(user)
    others = [people[index ^ 1], people[index ^ 2]]
    private = [Place(private_conversation(user, each), each, PRIVATE) for each in others]
    return [*private, Place(group_conversation(cast.group), cast.group, GROUP)]
