"""Let two users write, read and sync without a pause, while a test breaks the service."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.faults.rig import Cast, Rig
from tests.support.http_client import Answer, Client
from tests.support.service import User
from tests.support.site import Site

PAUSE_S = 0.2
ANSWERED = {200, 503}  # 503 while a backend is away


@dataclass
class Chatter:
    """Make rounds of all calls in a thread, from `started` on.

    `text` is the content of every message. `statuses` counts the answers by their status.
    """

    one: User
    other: User
    group_id: str
    text: str
    statuses: Counter[int] = field(default_factory=Counter)
    rounds: int = 0
    _over: threading.Event = field(default_factory=threading.Event)
    _may_go: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def started(self) -> Iterator[None]:
        """Make rounds until the block ends.

        Raises: the exception of a round; AssertionError for an unexpected status.
        """
        self._may_go.set()
        with ThreadPoolExecutor(1) as thread:
            rounds = thread.submit(self._keep_on)
            try:
                yield
            finally:
                self._over.set()
                self._may_go.set()
        rounds.result()
        assert set(self.statuses) <= ANSWERED, self.statuses

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Make no new round during the block."""
        self._may_go.clear()
        try:
            yield
        finally:
            self._may_go.set()

    def _keep_on(self) -> None:
        while not self._over.wait(PAUSE_S):
            self._may_go.wait()
            for answer in self._round():
                self.statuses[answer.status] += 1
            self.rounds += 1

    def _round(self) -> Iterator[Answer]:
        yield self.one.send(self.other, self.text)
        yield self.other.send_to_group(self.group_id, self.text)
        yield self.one.history(self.other)
        yield self.one.group_history(self.group_id)
        for user in (self.one, self.other):
            yield user.client.get("/api/conversation/list", size=20)
            yield user.client.post("/api/sync", {})
        yield self.one.client.get("/api/group/members", groupId=self.group_id)


def chatter_of(rig: Rig, cast: Cast, text: str) -> Chatter:
    """Return the chatter of the first two people of a cast, who take each answer as it comes."""
    exchange = Site(rig.service).exchange
    people = [User(str(each), Client(exchange, token)) for each, token in cast.tokens.items()]
    return Chatter(people[0], people[1], str(cast.group), text)
