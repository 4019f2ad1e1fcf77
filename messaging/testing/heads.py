"""Keep heads of conversations and users' lists of conversations in memory, for `cache_state`."""

from __future__ import annotations

from dataclasses import dataclass, field

from messaging.domain.conversations import Head, Participant, Peer

Stamp = tuple[int, float]  # the start of the cache, and the time from which it is complete


@dataclass(slots=True)
class MemoryHead:
    """Keep the last numbers of one conversation, and the positions of its private parties.

    `born`: the cache's count at the making of this copy. `is_whole`: the database was asked.
    """

    stamp: Stamp
    born: int
    is_whole: bool = False
    numbers: Head = field(default_factory=Head)
    positions: dict[int, Peer] = field(default_factory=dict)

    def rise(self, numbers: Head) -> None:
        known = self.numbers
        self.numbers = Head(
            last_seq=max(known.last_seq, numbers.last_seq),
            last_rev=max(known.last_rev, numbers.last_rev),
            last_id=max(known.last_id, numbers.last_id),
        )

    def move(self, user_id: int, position: Peer) -> None:
        known = self.positions.get(user_id, position)
        self.positions[user_id] = Peer(
            read_seq=max(known.read_seq, position.read_seq),
            delivered_seq=max(known.delivered_seq, position.delivered_seq),
            read_time=max(known.read_time, position.read_time),
        )


@dataclass(frozen=True, slots=True)
class Token:
    """Hold the state of the cache at the begin of a fill.

    `count`: of heads and tokens made so far. `evicted`: the heads evicted so far.
    """

    stamp: Stamp
    count: int
    evicted: int
    end_s: float

    @property
    def text(self) -> str:
        return f"{self.stamp}/{self.count}"


@dataclass(slots=True)
class MemoryListing:
    """Keep the participants of one user, None before the first fill."""

    stamp: Stamp
    participants: dict[str, Participant] | None = None
    read_s: float = 0.0  # when the token of the fill was taken
    token: Token | None = None
