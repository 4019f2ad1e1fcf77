"""Keep the store and the directory in memory, under the same contracts as the database.

Faults are plain attributes. Nothing survives the process, so no running site may use this store.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from messaging.domain.breakers import Breaker
from messaging.domain.errors import BadData, StoreUnavailable
from messaging.domain.events import Message, SendKey, join
from messaging.ports.cached import Claim
from messaging.ports.directory import TokenMark
from messaging.ports.log import Position
from messaging.ports.store import ApplyResult, Arrear, DeadLetter, DeadLetterState, Deletes, Tail
from messaging.testing import leases
from messaging.testing.leases import Leases, Used

MAX_CONTENT_CODE_POINTS = 5_000


@dataclass(eq=False, slots=True)
class MemoryStore:
    """Implement `ports.MessageStore`; the fields are the tables, for a test to read.

    `down`: every call fails as in an outage.
    `delay_s`: how long each call takes.
    `refuses`: tells which messages are bad data.
    """

    down: bool = False
    delay_s: float = 0.0
    refuses: Callable[[Message], bool] = lambda message: (
        len(message.content) > MAX_CONTENT_CODE_POINTS
    )
    rows: dict[int, Message] = field(default_factory=dict)
    claims: dict[SendKey, Claim] = field(default_factory=dict)
    aliases: dict[int, int] = field(default_factory=dict)
    last_seqs: dict[str, int] = field(default_factory=dict)
    deletes: set[tuple[int, int]] = field(default_factory=set)
    owed: dict[int, Arrear] = field(default_factory=dict)  # to the cache, by note
    notes: int = 0
    dead_letters: list[DeadLetter] = field(default_factory=list)
    settled: dict[Position, DeadLetterState] = field(default_factory=dict)
    leases: Leases = field(default_factory=dict)
    used: Used = field(default_factory=dict)
    clock_s: Callable[[], float] = time.monotonic
    breaker: Breaker = field(init=False)  # never trips by itself: calls fail at once anyway

    def __post_init__(self) -> None:
        self.breaker = Breaker("store", self.ping)

    async def apply(self, messages: Sequence[Message], *, owed: bool = False) -> ApplyResult:
        await self._answer()
        if any(self.refuses(message) for message in messages):
            raise BadData
        rows: dict[int, Message] = {}
        states = {m.id: _incoming(m) for m in sorted(messages, key=lambda m: m.id)}
        owners = self._owners(states)
        conflicts: list[Message] = []
        for message_id, state in states.items():
            stored = self.rows.get(message_id)
            if message_id in owners:
                continue
            if stored is None:
                rows[message_id] = self._insert(state)
            elif _identity(stored) != _identity(state):
                conflicts.append(next(m for m in messages if m.id == message_id))
            else:
                rows[message_id] = self.rows[message_id] = join(stored, state)
        for message_id, owner in owners.items():
            self._recall_first(states[message_id], owner, rows)
        self.aliases |= owners
        if owed:
            self._note([Arrear(i) for i in {*rows, *owners.values()}])
        return ApplyResult(
            rows=tuple(rows[message_id] for message_id in sorted(rows)),
            folded={message_id: self.rows[owner] for message_id, owner in owners.items()},
            deletes=tuple(self._copy_deletes(owners)),
            conflicts=tuple(conflicts),
        )

    async def get(self, message_ids: Sequence[int]) -> dict[int, Message]:
        await self._answer()
        return {i: self.rows[i] for i in message_ids if i in self.rows}

    async def find(self, message_ids: Sequence[int]) -> dict[int, Message]:
        await self._answer()
        rows = {i: self.rows.get(i) or self.rows.get(self.aliases.get(i, 0)) for i in message_ids}
        return {i: row for i, row in rows.items() if row is not None}

    async def page(self, conversation_id: str, *, before: int | None, limit: int) -> list[Message]:
        await self._answer()
        return self._newest(conversation_id, before)[:limit]

    async def nth_visible(
        self, conversation_id: str, *, reader_id: int, before: int, count: int
    ) -> int | None:
        await self._answer()
        ids = [message.id for message in self._newest(conversation_id, before)]
        visible = [i for i in ids if (reader_id, i) not in self.deletes]
        return visible[count - 1] if len(visible) >= count else None

    async def tail(self, conversation_id: str, *, limit: int) -> Tail:
        rows = await self.page(conversation_id, before=None, limit=limit)
        return Tail(tuple(rows), self.last_seqs.get(conversation_id, 0))

    async def find_claims(self, sends: Sequence[SendKey]) -> dict[SendKey, Claim]:
        await self._answer()
        found = {}
        for send in sends:
            claims = [self._claim(key) for key in self.claims if key[:2] == send[:2]]
            stored = sorted(claim.message_id for claim in claims if claim.is_stored)
            if send in self.claims:
                found[send] = self._claim(send)
            elif stored:
                found[send] = next(c for c in claims if c.message_id == stored[0])
        return found

    async def reserve(self, messages: Sequence[Message]) -> dict[int, Claim]:
        keys = {m.id: key for m in messages if (key := m.send_key) is not None}
        found = await self.find_claims(list(keys.values()))
        for message_id, key in keys.items():
            if key not in found:
                self.claims.setdefault(key, Claim(message_id, key[2]))
        found |= {key: self._claim(key) for key in keys.values() if key not in found}
        return {i: found[key] for i, key in keys.items() if found[key].message_id != i}

    async def delete_for_user(self, user_id: int, message_id: int) -> None:
        await self._answer()
        self.deletes.add((user_id, message_id))

    async def delete_owner(self, user_id: int, message: Message) -> int | None:
        await self._answer()
        claim = None if message.send_key is None else self.claims.get(message.send_key)
        if claim is None or claim.message_id == message.id:
            return None
        self.deletes.add((user_id, claim.message_id))
        return claim.message_id

    async def deleted_among(self, user_id: int, message_ids: Sequence[int]) -> set[int]:
        await self._answer()
        return {i for i in message_ids if (user_id, i) in self.deletes}

    async def deletes_of(self, user_id: int, *, limit: int) -> Deletes:
        await self._answer()
        ids = sorted((i for user, i in self.deletes if user == user_id), reverse=True)
        return Deletes(tuple(ids[:limit]), floor=ids[limit] if len(ids) > limit else 0)

    async def note_arrears(self, arrears: Sequence[Arrear]) -> None:
        await self._answer()
        self._note(arrears)

    async def arrears(self, *, limit: int) -> list[Arrear]:
        await self._answer()
        return list(self.owed.values())[:limit]

    async def drop_arrears(self, arrears: Sequence[Arrear]) -> None:
        await self._answer()
        for arrear in arrears:
            self.owed.pop(arrear.note_id or 0, None)

    async def save_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        await self._answer()
        known = {letter.source for letter in self.dead_letters}
        for letter in letters:
            if letter.source not in known:
                self.dead_letters.append(letter)
                known.add(letter.source)

    async def settle_dead_letters(
        self, sources: Sequence[Position], state: DeadLetterState
    ) -> None:
        await self._answer()
        known = {letter.source for letter in self.dead_letters}
        self.settled |= dict.fromkeys(known.intersection(sources), state)

    async def take_worker(
        self, node: int, owner: str, ttl_s: float, *, now_ms: int, until_ms: int
    ) -> int | None:
        await self._answer()
        return leases.take_worker(
            self.leases,
            self.used,
            node,
            owner,
            now_s=self.clock_s(),
            ttl_s=ttl_s,
            now_ms=now_ms,
            until_ms=until_ms,
        )

    async def ping(self) -> None:
        await self._answer()

    async def close(self) -> None:
        pass

    async def _answer(self) -> None:
        await asyncio.sleep(self.delay_s)
        if self.down:
            raise StoreUnavailable

    def _note(self, arrears: Sequence[Arrear]) -> None:
        for arrear in arrears:
            self.notes += 1
            self.owed[self.notes] = dataclasses.replace(arrear, note_id=self.notes)

    def _claim(self, key: SendKey) -> Claim:
        claim = self.claims[key]
        return dataclasses.replace(claim, is_stored=claim.message_id in self.rows)

    def _owners(self, states: Mapping[int, Message]) -> dict[int, int]:
        """Return the ids of messages that fold, each with the id that it folds into.

        A key is taken over when its message is neither stored nor among these.
        """
        owners = {}
        for message_id, state in states.items():
            if message_id in self.rows or (key := state.send_key) is None:
                continue
            own = Claim(message_id, state.body_hash)
            owner = self.claims.setdefault(key, own).message_id
            if owner not in self.rows and owner not in states:
                owner = message_id
                self.claims[key] = own
            if owner != message_id:
                owners[message_id] = owner
        return owners

    def _insert(self, message: Message) -> Message:
        seq = self.last_seqs.get(message.conversation_id, 0) + 1
        self.last_seqs[message.conversation_id] = seq
        self.rows[message.id] = row = replace(message, seq=seq)
        return row

    def _recall_first(self, repeat: Message, owner: int, rows: dict[int, Message]) -> None:
        first = self.rows[owner]
        if repeat.recall_time is not None:
            rows[owner] = self.rows[owner] = join(first, first.recalled(repeat.recall_time))

    def _copy_deletes(self, owners: Mapping[int, int]) -> list[tuple[int, int]]:
        copied = [(user, owners[i]) for user, i in self.deletes if i in owners]
        self.deletes.update(copied)
        return copied

    def _newest(self, conversation_id: str, before: int | None) -> list[Message]:
        return sorted(
            (
                message
                for message in self.rows.values()
                if message.conversation_id == conversation_id
                and (before is None or message.id < before)
            ),
            key=lambda m: m.id,
            reverse=True,
        )


def _incoming(message: Message) -> Message:
    bare = replace(message, seq=None)
    return bare if bare.recall_time is None else bare.recalled(bare.recall_time)


def _identity(message: Message) -> tuple[object, ...]:
    return (
        message.from_user_id,
        message.conversation_id,
        message.send_time,
        message.client_msg_id,
        message.body_hash,
    )


class MemoryDirectory:
    """Implement `ports.Directory`: users in `users` are known, those in `inactive` locked out.

    `blocks`: pairs of a blocker and a blocked user.
    `ended`: pairs of a user and a session.
    The directory keeps no answers, so nothing is known at once.
    """

    def __init__(
        self, users: Iterable[int] = (), groups: dict[int, set[int]] | None = None
    ) -> None:
        self.down = False
        self.users = set(users)
        self.inactive: set[int] = set()
        self.groups = groups if groups is not None else {}
        self.blocks: set[tuple[int, int]] = set()
        self.generations: dict[int, int] = {}
        self.ended: set[tuple[int, str]] = set()

    def known_active(self, user_id: int, mark: TokenMark | None = None) -> bool | None:
        return None

    def known_member(self, group_id: int, user_id: int) -> bool | None:
        return None

    def known_blocked(self, blocker_id: int, blocked_id: int) -> bool | None:
        return None

    async def user_exists(self, user_id: int) -> bool:
        return self.down or user_id in self.users

    async def user_is_active(self, user_id: int, mark: TokenMark | None = None) -> bool:
        is_active = user_id in self.users and user_id not in self.inactive
        return self.down or (is_active and not self._has_ended(user_id, mark))

    async def is_member(self, group_id: int, user_id: int) -> bool | None:
        if self.down:
            raise StoreUnavailable
        members = self.groups.get(group_id)
        return None if members is None else user_id in members

    async def is_blocked(self, blocker_id: int, blocked_id: int) -> bool:
        return not self.down and (blocker_id, blocked_id) in self.blocks

    async def close(self) -> None:
        pass

    def _has_ended(self, user_id: int, mark: TokenMark | None) -> bool:
        return mark is not None and (
            mark.generation < self.generations.get(user_id, 0)
            or (user_id, mark.session) in self.ended
        )
