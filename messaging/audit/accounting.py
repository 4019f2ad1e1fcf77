"""Determine the fate of the accepted messages that the sources in `sources` name."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

from messaging.audit.check import AT_ONCE, Check, Parts, Step
from messaging.audit.findings import Fate, Kind, Suspect
from messaging.audit.log_search import search
from messaging.domain.batched import batched
from messaging.domain.events import Key, Message, is_same
from messaging.pipeline.write_through import WriteThrough
from messaging.ports.cached import Claim
from messaging.ports.store import DeadLetterState


@dataclass(frozen=True, slots=True)
class Accepted:
    """Hold a message that a source names as accepted, with what the source knows beside the id.

    `key` is the message's (sender, clientMsgId). A repeat of which the store keeps no alias can be
    recognised by the key alone. The first send accounts for a repeat only with the same
    `body_hash`, where the hash is known. `message` is the log's state of the message. `in_tail` is
    set while the consumer has not committed the log's record. `is_claim` is set when a client that
    repeats its send would be told this id.
    """

    id: int
    key: Key | None = None
    body_hash: str | None = None
    message: Message | None = None
    in_tail: bool = False
    is_claim: bool = False


def named_by(message: Message, *, logged: bool = False, in_tail: bool = False) -> Accepted:
    """Return a message at hand as an accepted one, with its own key and body hash."""
    state = message if logged else None
    return Accepted(message.id, message.key, message.body_hash, state, in_tail)


Walk = Callable[[], AsyncIterator[tuple[float, Sequence[Accepted]]]]


class Accounting(Check[Accepted]):
    """Count the fates of the messages that one source names.

    `stuck_ms` is the age up to which a pending message is no finding.
    """

    def __init__(
        self,
        title: str,
        walk: Walk,
        parts: Parts,
        *,
        stuck_ms: int,
        tell_search: Callable[[int], None],
    ) -> None:
        self.title = title
        self.fates: Counter[Fate] = Counter()
        self._walk = walk
        self._parts = parts
        self._stuck_ms = stuck_ms
        self._tell_search = tell_search

    async def walk(self) -> AsyncIterator[Step[Accepted]]:
        async for done, accepted in self._walk():
            for piece in batched(accepted, AT_ONCE):
                yield Step(done, len(piece), await self.judge(piece))

    async def judge(self, subjects: Sequence[Accepted]) -> list[Suspect[Accepted]]:
        """Return the suspects among these messages, and count the fates of all others."""
        ids = list(dict.fromkeys(each.id for each in subjects))
        pending = await self._parts.cached.pending_among(ids)
        found = await self._parts.store.find(ids)
        rows = {i: row for i, row in found.items() if row.id == i}
        fates = await self._fates([each for each in subjects if each.id not in found], pending)
        fates |= {i: Fate.FOLDED for i in found if i not in rows}
        misleading = await self._misleading(subjects, fates)
        strangers = await self._strangers(subjects, rows)
        suspects = []
        for each in subjects:
            row = rows.get(each.id)
            fate = fates[each.id] if row is None else _fate_of(row)
            if each in strangers:
                suspects.append(Suspect(Kind.LOG_DIFFERS, str(each.id), each, fate))
            elif each in misleading:
                suspects.append(Suspect(Kind.CLAIM_STALE, str(each.id), each, fate))
            elif kind := self._wrong(each, row, fate, pending.get(each.id)):
                suspects.append(Suspect(kind, str(each.id), each, fate))
            else:
                self.fates[fate] += 1
        return suspects

    async def _fates(
        self, accepted: Sequence[Accepted], pending: Mapping[int, int]
    ) -> dict[int, Fate]:
        """Return the fates of messages that have no row and are no alias of one."""
        ids = [each.id for each in accepted]
        if not ids:
            return {}
        details = await self._parts.cache.get(ids)
        letters = await self._parts.stored.letters(ids)
        claims = await self._claims(accepted)
        fates = {}
        for each in accepted:
            states = letters.get(each.id, frozenset())
            if DeadLetterState.OPEN in states:
                fate = Fate.DEAD_LETTER
            elif DeadLetterState.DISCARDED in states:
                fate = Fate.DISCARDED
            elif each.id in pending and each.id in details:
                fate = Fate.PENDING
            elif each.in_tail:
                fate = Fate.UNDER_WAY
            elif _is_repeat(each, claims.get(each.id)):
                fate = Fate.FOLDED
            else:
                fate = Fate.UNACCOUNTED
            fates[each.id] = fate
        return fates

    async def _claims(self, accepted: Sequence[Accepted]) -> dict[int, Claim]:
        """Return the stored claims under the keys of these messages, by the messages' ids."""
        sends = {each.id: (*each.key, each.body_hash or "") for each in accepted if each.key}
        found = await self._parts.store.find_claims(list(sends.values()))
        claims = {i: found[send] for i, send in sends.items() if send in found}
        return {i: claim for i, claim in claims.items() if claim.is_stored}

    async def _misleading(
        self, subjects: Sequence[Accepted], fates: Mapping[int, Fate]
    ) -> set[Accepted]:
        """Return the cached claims that still stand for a message which was folded into another."""
        folded = {
            each.key: each
            for each in subjects
            if each.is_claim and each.key and fates.get(each.id) is Fate.FOLDED
        }
        claimed = await self._parts.cached.claimed(list(folded))
        return {each for key, each in folded.items() if claimed.get(key) == each.id}

    async def _strangers(
        self, subjects: Sequence[Accepted], rows: Mapping[int, Message]
    ) -> set[Accepted]:
        """Return the messages whose row is another message's, unless a dead letter says so."""
        strange = [
            each
            for each in subjects
            if each.message and each.id in rows and not is_same(rows[each.id], each.message)
        ]
        if not strange:
            return set()
        letters = await self._parts.stored.letters([each.id for each in strange])
        return {each for each in strange if each.id not in letters}

    def _wrong(
        self, each: Accepted, row: Message | None, fate: Fate, pending_since: int | None
    ) -> Kind | None:
        if fate is Fate.UNACCOUNTED:
            return Kind.UNACCOUNTED
        if row is not None and pending_since is not None:
            return Kind.STILL_PENDING
        if row is not None and each.message is not None and not each.in_tail:
            return _against_log(row, each.message)
        if fate is Fate.PENDING and pending_since is not None:
            age_ms = self._parts.compensator.clock_ms() - pending_since
            return Kind.STUCK if age_ms > self._stuck_ms else None
        return None

    async def conclude(self, suspects: Sequence[Suspect[Accepted]]) -> list[Suspect[Accepted]]:
        """Search the whole log for unaccounted messages, and judge again those that are found.

        The log may have the message itself, or show which send the message repeats.
        """
        lost = [s.subject for s in suspects if s.kind is Kind.UNACCOUNTED]
        found = await search(self._parts.log, {each.id for each in lost}, tell=self._tell_search)
        known = [
            named_by(there.message, logged=True, in_tail=there.in_tail) for there in found.values()
        ]
        rest = [s for s in suspects if s.kind is not Kind.UNACCOUNTED or s.subject.id not in found]
        return rest + await self.judge(known)

    async def mend(self, suspects: Sequence[Suspect[Accepted]]) -> None:
        """Persist the messages that can be found, and correct stale claims.

        The message that the source knows is used where the cache has no detail.
        """
        ids = [s.subject.id for s in suspects]
        cached = await self._parts.cache.get(ids)
        unmarked = {s.subject.id for s in suspects if s.kind is Kind.STILL_PENDING}
        stuck = [i for i in ids if i in cached or i in unmarked]
        if stuck:
            await self._parts.compensator.repair(stuck)
        logged = [
            s.subject.message
            for s in suspects
            if s.kind in (Kind.UNACCOUNTED, Kind.RECALL_NOT_STORED)
            and s.subject.message is not None
            and s.subject.id not in cached
        ]
        await WriteThrough(self._parts.cache, self._parts.store).write(logged)
        await self._correct_claims([s.subject for s in suspects if s.kind is Kind.CLAIM_STALE])

    def leave(self, suspects: Sequence[Suspect[Accepted]]) -> None:
        self.fates.update(s.fate for s in suspects if s.fate is not None)

    async def _correct_claims(self, claims: Sequence[Accepted]) -> None:
        owners = await self._claims(claims)
        rows = await self._parts.store.get([owner.message_id for owner in owners.values()])
        folded = {
            i: rows[owner.message_id] for i, owner in owners.items() if owner.message_id in rows
        }
        if folded:
            await self._parts.cache.mark_folded(folded)


def _fate_of(row: Message) -> Fate:
    return Fate.RECALLED if row.is_recalled else Fate.PERSISTED


def _is_repeat(accepted: Accepted, claim: Claim | None) -> bool:
    if claim is None or claim.message_id == accepted.id:
        return False
    return accepted.body_hash in (None, claim.body_hash)


def _against_log(row: Message, logged: Message) -> Kind | None:
    """Return the kind of disagreement between a row and its committed event, or None.

    Everything that the consumer has committed must be in the row.
    """
    if not is_same(row, logged):
        return None  # a dead letter tells of it
    if logged.is_recalled:
        return None if row.is_recalled else Kind.RECALL_NOT_STORED
    said = (logged.content, logged.url, logged.at_user_ids)
    differs = not row.is_recalled and said != (row.content, row.url, row.at_user_ids)
    return Kind.LOG_DIFFERS if differs else None
