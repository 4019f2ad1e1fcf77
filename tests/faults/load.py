"""Make the load: four people write, repeat, recall, delete and read, each on several connections.

Meanwhile the owner of their group invites a guest, and removes the guest again.

The operations of each person come from the seed; the times of the answers do not. Every person
stays far below the rate of a sender.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import aiohttp

from tests.faults.client import CLIENT_TIMEOUT_S, FaultClient, Post
from tests.faults.doorkeeper import Doorkeeper
from tests.faults.followers import Follower
from tests.faults.places import PRIVATE, Place, places_of
from tests.faults.rig import Cast
from tests.faults.transcript import Operation, Recorder

HANDS = ("mixed", "mixed", "private sends")  # the workers of each person
LONGEST_PAUSE_S = 0.3
REPEATS = 3  # at once; sends that are still unknown are repeated after the heal
REPEAT_PAUSE_S = 0.3
PAGE, WALKED_PAGE, WALKED_PAGES = 50, 10, 5
SCRIPTS = ("plain", "你好，世界", "naïve café", "👩‍👩‍👧‍👦🏳️‍🌈", "שלום עולם", "a\u2028b\\'\"%_<&>")


@dataclass(slots=True)
class AcknowledgedMessage:
    """Name a message by an id that a sender was told."""

    message_id: int
    sender: int
    conversation: str


@dataclass(slots=True)
class SharedKnowledge:
    """Hold the messages that all workers of the load know, and the sends without a clear answer."""

    said: list[AcknowledgedMessage] = field(default_factory=list)
    unsettled: list[tuple[FaultClient, Post]] = field(default_factory=list)
    names: itertools.count[int] = field(default_factory=itertools.count)


class Worker:
    """Do one thing after the other as a person, until told to stop."""

    def __init__(
        self,
        random: Random,
        clients: Sequence[FaultClient],
        places: Sequence[Place],
        known: SharedKnowledge,
        prefix: str,
        *,
        only_sends: bool,
    ) -> None:
        self._random = random
        self._clients = clients  # the same person on different connections
        self._places = places
        self._known = known
        self._prefix = prefix
        self._only_sends = only_sends
        self._weights = (1, 0, 0, 0, 0, 0) if only_sends else (50, 8, 8, 20, 6, 8)

    async def run(self, stop: asyncio.Event) -> None:
        deeds = (self._say, self._recall, self._delete, self._read, self._walk, self._fetch_one)
        while not stop.is_set():
            (deed,) = self._random.choices(deeds, self._weights)
            await deed()
            await asyncio.sleep(self._random.uniform(0, LONGEST_PAUSE_S))

    @property
    def _client(self) -> FaultClient:
        return self._random.choice(self._clients)

    # --- deeds ------------------------------------------------------------------------------

    async def _say(self) -> None:
        post = self._compose()
        if self._random.random() < 0.15:
            told = await asyncio.gather(*(each.send(post) for each in self._clients))
        else:
            told = [await self._client.send(post)]
        done = self._note(told, post) or await self._repeat(post)
        if done and self._random.random() < 0.10:
            await self._client.send(post)  # a repeat of an acknowledged send
        if done and not self._only_sends and self._random.random() < 0.10:
            await asyncio.sleep(self._random.uniform(0, 0.05))
            await self._take_back("recall", done)

    def _compose(self) -> Post:
        place = self._random.choice(self._places)
        name = f"{self._prefix}-{next(self._known.names)}"
        words = self._random.choices(SCRIPTS, k=self._random.randint(1, 20))
        url = f"/files/{name}.png" if self._random.random() < 0.1 else None
        content = f"{name} {' '.join(words)}"
        return Post(name, place.conversation, place.target, place.chat_type, content, url)

    async def _repeat(self, post: Post) -> AcknowledgedMessage | None:
        for _ in range(REPEATS):
            await asyncio.sleep(self._random.uniform(0, REPEAT_PAUSE_S))
            if done := self._note([await self._client.send(post)], post):
                return done
        self._known.unsettled.append((self._client, post))
        return None

    def _note(self, told: Sequence[Operation], post: Post) -> AcknowledgedMessage | None:
        for operation in told:
            if operation.message_id is not None:
                said = AcknowledgedMessage(operation.message_id, operation.user, post.conversation)
                self._known.said.append(said)
                return said
        return None

    async def _recall(self) -> None:
        user = self._clients[0].user
        if own := [said for said in self._known.said if said.sender == user]:
            await self._take_back("recall", self._random.choice(own))

    async def _delete(self) -> None:
        if said := self._choose():
            await self._take_back("delete", said)

    async def _take_back(self, kind: str, said: AcknowledgedMessage) -> None:
        told = await self._client.take_back(kind, said.conversation, said.message_id)
        if told.outcome == "unknown" and self._random.random() < 0.5:
            await self._client.take_back(kind, said.conversation, said.message_id)

    async def _read(self) -> None:
        await self._page(self._random.choice(self._places), PAGE, None)

    async def _walk(self) -> None:
        place, before = self._random.choice(self._places), None
        for _ in range(WALKED_PAGES):
            page = await self._page(place, WALKED_PAGE, before)
            if not (page.has_more and page.seen):
                return
            before = page.seen[-1].id

    async def _page(self, place: Place, size: int, before: int | None) -> Operation:
        return await self._client.page(
            place.conversation,
            target=place.target,
            chat_type=place.chat_type,
            size=size,
            before=before,
        )

    async def _fetch_one(self) -> None:
        if said := self._choose():
            await self._client.get(said.conversation, said.message_id)

    def _choose(self) -> AcknowledgedMessage | None:
        """Return a recent message of one of this person's conversations."""
        mine = {place.conversation for place in self._places}
        recent = [said for said in self._known.said[-200:] if said.conversation in mine]
        return self._random.choice(recent) if recent else None


class CastLoad:
    """Run the workers of the whole cast between `begin` and `end`."""

    def __init__(self, cast: Cast, clients: dict[int, list[FaultClient]], seed: str) -> None:
        self.known = SharedKnowledge()
        self._cast = cast
        self._stop = asyncio.Event()
        self._workers = [
            self._new_worker(user, hand, clients[user], seed)
            for user in cast.tokens
            for hand in range(len(HANDS))
        ]
        self._doorkeeper = Doorkeeper(
            Random(f"{seed} guest"),
            clients[cast.owner],
            clients[cast.guest],
            cast.group,
            self.known.names,
        )
        self._followers = {
            user: Follower(Random(f"{seed} {user} follows"), clients[user]) for user in cast.tokens
        }
        self._tasks: list[asyncio.Task[None]] = []

    def _new_worker(
        self, user: int, hand: int, clients: Sequence[FaultClient], seed: str
    ) -> Worker:
        """Make a worker of this person.

        A worker that only sends measures the answers to sends; a worker with other work might wait
        for an answer to something else.
        """
        only_sends = HANDS[hand] != "mixed"
        places = places_of(self._cast, user)
        if only_sends:
            places = [place for place in places if place.chat_type == PRIVATE]
        return Worker(
            Random(f"{seed} {user} {hand}"),
            clients,
            places,
            self.known,
            f"{user}-{hand}",
            only_sends=only_sends,
        )

    def begin(self, *, has_guest: bool) -> None:
        runs = [each.run(self._stop) for each in self._workers]
        if has_guest:
            runs.append(self._doorkeeper.run(self._stop))
            runs += [each.run(self._stop) for each in self._followers.values()]
        self._tasks = [asyncio.create_task(each) for each in runs]

    async def end(self) -> None:
        """End all workers, then repeat the sends that never got a clear answer."""
        self._stop.set()
        await asyncio.gather(*self._tasks)
        await asyncio.gather(*(client.send(post) for client, post in self.known.unsettled))

    async def compare_followers(self) -> list[str]:
        """Return what clients on sync have wrong, compared with the history that is read afresh."""
        for user, follower in self._followers.items():
            await follower.compare(places_of(self._cast, user))
        return [wrong for follower in self._followers.values() for wrong in follower.wrong]


@asynccontextmanager
async def clients_of(
    cast: Cast, base_url: str, recorder: Recorder
) -> AsyncIterator[dict[int, list[FaultClient]]]:
    """Open three clients for each person: two keep their connections, one opens one for each call.

    The connection decides which web process answers.
    """
    limit = aiohttp.ClientTimeout(total=CLIENT_TIMEOUT_S)
    kept = [aiohttp.ClientSession(base_url, timeout=limit) for _ in range(2)]
    fresh = aiohttp.ClientSession(
        base_url, timeout=limit, connector=aiohttp.TCPConnector(force_close=True)
    )
    sessions = [*kept, fresh]
    try:
        yield {
            user: [FaultClient(each, recorder, user=user, token=token) for each in sessions]
            for user, token in (*cast.tokens.items(), (cast.guest, cast.guest_token))
        }
    finally:
        for session in sessions:
            await session.close()
