"""What has become of accepted messages, whoever names them: `sources` says who."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

from messaging.audit.check import Check, Parts, Step, pieces
from messaging.audit.findings import Fate, Kind, Suspect
from messaging.audit.log_search import search
from messaging.domain.events import Message, is_same
from messaging.pipeline.write_through import WriteThrough
from messaging.ports.cached import Claim
from messaging.ports.store import DeadLetterState


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that is said to be accepted, with what its source knows beside the id.

    `key` is its (sender, clientMsgId); a repeat that the store keeps no alias of can only be known
    by that, and only one with the same `body_hash`, where it is known, is accounted for by the
    first send. `message` is what the
    log has of it; `in_tail`: the consumer has not committed that yet. `is_claim`: a client that
    repeats its send would be told this id.
    """

    id: int
    key: tuple[int, str] | None = None
    body_hash: str | None = None
    message: Message | None = None
    in_tail: bool = False
    is_claim: bool = False


def named_by(message: Message, *, logged: bool = False, in_tail: bool = False) -> Accepted:
    """What a message at hand says of itself."""
    key = None
    if message.client_msg_id is not None:
        key = (message.from_user_id, message.client_msg_id)
    return Accepted(message.id, key, message.body_hash, message if logged else None, in_tail)


Walk = Callable[[], AsyncIterator[tuple[float, Sequence[Accepted]]]]


class Accounting(Check[Accepted]):
    """Counts the fates of what one source names. `stuck_ms`: how long pending is no news."""

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
            for piece in pieces(accepted):
                yield Step(done, len(piece), await self.judge(piece))

    async def judge(self, subjects: Sequence[Accepted]) -> list[Suspect[Accepted]]:
        """Counts the fate of each that is as it should be."""
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
        """Of messages that have no row and are no alias of one."""
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
        """What the store has under the keys of these, by their ids."""
        sends = {each.id: (*each.key, each.body_hash or "") for each in accepted if each.key}
        found = await self._parts.store.find_claims(list(sends.values()))
        claims = {i: found[send] for i, send in sends.items() if send in found}
        return {i: claim for i, claim in claims.items() if claim.is_stored}

    async def _misleading(
        self, subjects: Sequence[Accepted], fates: Mapping[int, Fate]
    ) -> set[Accepted]:
        """Claims that still stand for a message which was folded into another."""
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
        """Those that the row has for another message, with no dead letter to tell of it."""
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
        """Look for what is unaccounted in the whole log, which may know it, or what it repeats."""
        lost = [s.subject for s in suspects if s.kind is Kind.UNACCOUNTED]
        found = await search(self._parts.log, {each.id for each in lost}, tell=self._tell_search)
        known = [
            named_by(there.message, logged=True, in_tail=there.in_tail) for there in found.values()
        ]
        rest = [s for s in suspects if s.kind is not Kind.UNACCOUNTED or s.subject.id not in found]
        return rest + await self.judge(known)

    async def mend(self, suspects: Sequence[Suspect[Accepted]]) -> None:
        """Persist what can be found; what its source knows counts when the cache has nothing."""
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
    """What the consumer has committed must be in the row."""
    if not is_same(row, logged):
        return None  # a dead letter tells of it
    if logged.is_recalled:
        return None if row.is_recalled else Kind.RECALL_NOT_STORED
    said = (logged.content, logged.url, logged.at_user_ids)
    differs = not row.is_recalled and said != (row.content, row.url, row.at_user_ids)
    return Kind.LOG_DIFFERS if differs else None
