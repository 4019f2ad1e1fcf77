"""Follow the conversations of a schedule by sync alone, as a client that crashes now and then."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from messaging.domain.conversation_requests import SetRequest
from messaging.domain.conversations import Mark
from messaging.domain.errors import ApiError, ConversationNotFound
from messaging.domain.sync_requests import parse_span, parse_sync
from messaging.http.sync_representation import present_span, present_sync
from messaging.service.backends import Backends
from messaging.service.conversation_settings import clear, set_state
from messaging.service.marks import mark
from messaging.service.span import read_span
from messaging.service.sync import SyncAnswer, sync
from messaging.terminal.model import Model
from tests.simulation.clients import RETRIABLE, NoAnswer, SimulatedClient
from tests.simulation.record import Answer, Clear, Read

if TYPE_CHECKING:
    from tests.simulation.world import World

T = TypeVar("T")
Json = Mapping[str, Any]

MOST_CALLS = 60  # of a client that catches up at rest
SPAN = 3


@dataclass(slots=True)
class Told:
    """Hold what a client was told in one conversation: the last `seq`, and each change's `rev`."""

    covered: int = 0
    revs: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Device:
    """Hold the state that a client keeps, all of which a crash sets back."""

    model: Model = field(default_factory=Model)
    told: dict[str, Told] = field(default_factory=dict)


class Follower(SimulatedClient):
    """Sync, mark, hide and clear as one user, by a stream of draws of its own."""

    def __init__(self, world: World, user: int, random: Random) -> None:
        super().__init__(world, user, random)
        self.device = Device()
        self._saved = [Device()]

    async def follow(self, steps: int) -> None:
        deeds = (self._sync, self._mark, self._set, self._clear, self._crash)
        for _ in range(steps):
            await asyncio.sleep(self._random.choice((0.0, 0.1, 0.5)) * self._random.random())
            (deed,) = self._random.choices(deeds, (12, 4, 1, 1, 2))
            await deed()

    async def catch_up(self) -> bool:
        """Sync until a whole round was told, and fill all gaps; tell whether that came."""
        is_whole = False  # the round under way: an answer before may have been partial
        for _ in range(MOST_CALLS):
            answer = await self._sync()
            if answer is None or answer["partial"]:
                is_whole = False
                await asyncio.sleep(1.0)
            elif not answer["hasMore"]:
                if is_whole:
                    return await self._fill_gaps()
                is_whole = True
        return False

    async def _sync(self) -> Json | None:
        draw, device = self._random, self.device
        body = {
            "cursor": device.model.cursor,
            "limit": draw.choice((1, 2, 5, 100)),
            "order": draw.choice(("newest", "newest", "oldest")),
        }
        request = parse_sync(body, own_id=self._user)

        async def ask(backends: Backends) -> tuple[SyncAnswer, Json]:
            answer = await sync(backends, request, reader_id=self._user)
            shown = present_sync(answer, viewer_id=self._user, now_ms=backends.clock_ms())
            return answer, dict(json.loads(json.dumps(shown)))

        self._was_early, begun = False, self._new_read("")
        answered = await self._tried(ask)
        if answered is None or self._was_early or draw.random() < 0.1:  # the answer was missed
            return None
        told, answer = answered
        self._note_reads(begun, told)
        self._check(answer, asked_by=device.model.cursor)
        device.model.apply(answer)
        if draw.random() < 0.2:
            self._saved.append(copy.deepcopy(device))
        return answer

    def _note_reads(self, begun: Read, told: SyncAnswer) -> None:
        """Record what the answer shows of each conversation, as a page of its history."""
        ended = self._record.tick()
        for each in told.told:
            shown = {m.id: m for m in (*each.messages, *each.changes, *each.pending)}
            messages = [shown[message_id] for message_id in sorted(shown, reverse=True)]
            read = replace(begun, conversation=each.view.entry.conversation_id, seen=messages)
            read.answers = [Answer(begun.begun, ended, messages)]
            last = each.view.last_message
            if last is not None:
                read.answers.append(Answer(begun.begun, ended, [last]))
            self._record.reads.append(read)

    async def _crash(self) -> None:
        self.device = copy.deepcopy(self._random.choice(self._saved))

    async def _mark(self) -> None:
        known = self.device.model.conversations
        if not known:
            return
        name = self._random.choice(sorted(known))
        seq = self._random.randint(1, max(1, (known[name].about.get("lastSeq") or 0) + 1))
        marks = [Mark(user_id=self._user, conversation_id=name, read_seq=seq)]
        before = self._record.marks.get((self._user, name), 0)
        done = await self._tried(lambda b: mark(b, marks, user_id=self._user))
        for participant in () if done is None else done.participants:
            if participant.read_seq < before:
                told = f"user {self._user}: {participant.read_seq} of {name} after {before}"
                self._record.violate("mark went back", told)
            self._record.note_mark(self._user, name, participant.read_seq)

    async def _set(self) -> None:
        if names := sorted(self.device.model.conversations):
            wanted = SetRequest(
                conversation_id=self._random.choice(names),
                pinned=self._random.choice((None, True, False)),
                hidden=self._random.choice((None, True, False)),
                marked_unread=self._random.random() < 0.3,
            )
            await self._tried(lambda b: set_state(b, wanted, user_id=self._user))

    async def _clear(self) -> None:
        if not (names := sorted(self.device.model.conversations)):
            return
        name = self._random.choice(names)
        act = Clear(self._user, name, self._record.tick())
        self._record.clears.append(act)
        if await self._tried(lambda b: clear(b, name, user_id=self._user)) is not None:
            act.ended = self._record.tick()
            self._world.trace("", f"user {self._user} has cleared {name}")

    async def _fill_gaps(self) -> bool:
        model = self.device.model
        for _ in range(MOST_CALLS):
            if not model.gaps:
                return True
            name, (first, last) = model.gaps[0]
            query = {"conversationId": name, "fromSeq": f"{first}", "toSeq": f"{last}"}
            request = parse_span(query | {"size": f"{SPAN}"})

            async def ask(backends: Backends) -> Json:
                page = await read_span(backends, request, reader_id=self._user)  # noqa: B023
                return present_span(page, viewer_id=self._user)

            page = await self._tried(ask)
            if page is None:
                await asyncio.sleep(1.0)
            else:
                model.conversations[name].fill(json.loads(json.dumps(page)))
        return False

    def _check(self, answer: Json, *, asked_by: str | None) -> None:
        """Judge that an answer covers nothing twice, and tells no change twice.

        No answer asks for another call by the cursor that the answer was asked by.
        """
        if answer["hasMore"] and answer["cursor"] == asked_by:
            self._violate("more by the same cursor", f"{asked_by}")
        for told in answer["conversations"]:
            name = told["conversationId"]
            if told["left"] or told["reset"]:
                self.device.told.pop(name, None)
            if told["left"]:
                continue
            known = self.device.told.setdefault(name, Told())
            spans = [span for span in (told["gap"], told["covers"]) if span is not None]
            for first, last in spans:
                if first <= known.covered or last < first:
                    self._violate("covered twice", f"{name}: {spans} after {known.covered}")
                known.covered = last
            for message in told["changes"]:
                if message["rev"] in known.revs:
                    self._violate("change told twice", f"{name}: {message['rev']}")
                known.revs.add(message["rev"])

    def _violate(self, kind: str, text: str) -> None:
        self._record.violate(kind, f"user {self._user}, {text}")

    async def _tried(self, use_case: Callable[[Backends], Awaitable[T]]) -> T | None:
        """Return the answer; None without one, and for a conversation that the user is out of."""
        try:
            return await self._asked(use_case, self._random.choice(self._world.webs))
        except (NoAnswer, ConversationNotFound):
            return None
        except ApiError as error:
            if error.http_status not in RETRIABLE:
                self._violate("refused", f"{type(error).__name__}")
            return None
