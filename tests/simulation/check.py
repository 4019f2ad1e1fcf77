"""Judge a schedule at its end: the clients' acknowledgements, their reads, and the stored rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from messaging.domain.message import Message, MsgType
from messaging.pipeline.queued_send import Durability
from messaging.testing.store import MemoryStore
from tests.simulation.clear_check import ClearCheck
from tests.simulation.group_check import GroupCheck
from tests.simulation.record import Read, Said, ScheduleRecord, Total
from tests.simulation.watch import BackendWatch


class PromiseCheck:
    """Record every broken promise."""

    def __init__(
        self, record: ScheduleRecord, watch: BackendWatch, store: MemoryStore, group: GroupCheck
    ) -> None:
        self._record, self._watch, self._store = record, watch, store
        self._group, self._clears = group, ClearCheck(record)
        self._rows: dict[str, list[Message]] = {}
        for row in sorted(store.rows.values(), key=lambda row: row.id):
            self._rows.setdefault(row.conversation_id, []).append(row)
        self._untold_recalls = {
            row.id
            for said in record.said
            if said.recall_begun and said.recalled is None
            for row in self._rows_of(said)
        }
        self._untold = {
            row.id
            for said in record.said
            if said.acknowledged is None
            for row in self._rows_of(said)
        }

    def everything(self) -> None:
        for said in self._record.said:
            self._check_said(said)
        for read in self._record.reads:
            self._check_read(read)
        self._check_rows()
        self._check_seqs()
        self._check_marks()
        self._group.everything(self._rows_of)
        self._clears.everything()

    def at_rest(self, read: Read, *, aged: bool) -> None:
        """Judge a page at rest: it has the rows, all of them, without the reader's deletes.

        Before the cache has aged, it may lack a row or a delete that no client was told of: the
        process that stored the change died before the process showed the change to the cache. A
        clear has a hint, which a sweep has delivered by now.
        """
        floor_id, floor_seq = self._group.floor_of(read.reader, read.conversation)
        rows = [row for row in self._rows.get(read.conversation, []) if row.id > floor_id]
        seen = {message.id for message in read.seen}
        untold = self._untold | self._group.untold_notices()
        untold = set() if aged else {row.id for row in rows if row.id in untold} - seen
        deleted = {i for user, i in self._store.deletes if user == read.reader}
        if not aged:
            deleted -= seen & self._untold_deletes(read.reader)
        shown = [row for row in reversed(rows) if row.id not in untold | deleted]
        where = f"{read.conversation} for user {read.reader}"
        if read.partial:
            self._record.violate("partial at rest", where)
        if [self._told_of(m, aged) for m in read.seen] != [self._told_of(m, aged) for m in shown]:
            told = f"{where}: {_brief(read.seen)}, not {_brief(shown)}"
            self._record.violate("page at rest", told)
        above = self._store.head(read.conversation).last_seq - floor_seq
        for total in read.totals:
            if not len(rows) - len(untold) <= total.count <= max(len(rows), above):
                self._record.violate("total at rest", f"{where}: {total.count}, not {len(rows)}")

    def told_id(self, said: Said, message_id: int, found: Message | None) -> None:
        """Judge what the sender gets at rest for an id that an acknowledgement has told."""
        rows = self._rows_of(said)
        if not rows or said.is_bad_data or message_id in self._gone(said):
            return  # a lost message is judged once, by `_check_said`
        hidden = any((said.sender, row.id) in self._store.deletes for row in rows)
        hidden |= any(self._group.hides(said.sender, row) for row in rows)
        if found is None and not hidden:
            self._record.violate("dead id", f"{message_id} of {said}")
        elif found is not None and found.id not in {row.id for row in rows}:
            self._record.violate("dead id", f"{message_id} of {said} leads to {found.id}")

    def _told_of(self, message: Message, aged: bool) -> Message:
        """Return the message without what the cache may lack: an untold recall, or its time."""
        if not aged and message.id in self._untold_recalls:
            message = replace(message.recalled(0), rev=0)
        return replace(message, recall_time=None)

    def _check_said(self, said: Said) -> None:
        rows = self._rows_of(said)
        if len(rows) > 1:
            self._record.violate("duplicated", f"{said}: {_brief(rows)}")
        if said.acknowledged is not None and not rows and not self._may_be_lost(said):
            if not said.is_bad_data:
                self._record.violate("lost", f"{said}")
            elif self._watch.set_aside.isdisjoint(said.ids):  # one stands for its repeats
                self._record.violate("not set aside", f"{said}")
        for row in rows:
            if said.recalled is not None and not row.is_recalled:
                self._record.violate("recall lost", f"{said}")
            if any((user, row.id) not in self._store.deletes for user in said.deleted):
                self._record.violate("delete lost", f"{said}")
            if row.is_recalled and not said.recall_begun:
                self._record.violate("recalled by nobody", f"{said}")
            if row.content != ("" if row.is_recalled else said.content):
                self._record.violate("altered", f"{said}: {row}")

    def _check_read(self, read: Read) -> None:
        ids = [message.id for message in read.seen]
        if sorted(ids, reverse=True) != ids or len(set(ids)) < len(ids):
            self._record.violate("page out of order", f"{_told(read)}")
        for message in read.seen:
            row = self._store.rows.get(message.id)
            if row is not None and message.seq not in (None, row.seq):
                self._record.violate("seq changed", f"{message} for {row}")
        for said in self._record.said:
            if said.conversation == read.conversation:
                self._check_seen(read, said)
        for total in read.totals:
            self._check_total(read, total)

    def _check_total(self, read: Read, total: Total) -> None:
        """Judge a total under load.

        The total is at least the number of messages acknowledged before the request, and at most
        the number of those tried before its end.
        """
        here = [said for said in self._record.said if said.conversation == read.conversation]
        least = sum(
            1
            for said in here
            if said.acknowledged is not None
            and said.acknowledged < total.begun
            and not said.is_bad_data
            and not self._may_be_lost(said)
            and not self._may_be_missed(read, self._ids_of(said))
            and not self._may_hide(read, said)
        )
        most = sum(1 for said in here for begun in said.attempts if begun < total.ended)
        most += self._group.most_notices(read.conversation, total.ended)
        if not least <= total.count <= most:
            told = f"{total.count}, not {least} to {most}, in {_told(read)}"
            self._record.violate("total under load", told)

    def _check_seen(self, read: Read, said: Said) -> None:
        ids = self._ids_of(said)
        seen = [m for m in read.seen if m.id in ids or m.content == said.content]
        shown = any(m.content for m in seen)
        if shown and _before(said.recalled, read) and not self._may_be_shown(read, ids):
            self._record.violate("resurrected", f"{said} in {_told(read)}")
        if seen and _before(said.deleted.get(read.reader), read):
            self._record.violate("seen after a delete", f"{said} in {_told(read)}")
        if (
            not seen
            and not said.is_bad_data
            and read.whole
            and not read.partial
            and _before(said.acknowledged, read)
            and read.reader not in said.delete_begun
            and not self._may_be_lost(said)
            and not self._may_be_missed(read, ids)
            and not self._may_hide(read, said)
        ):
            self._record.violate("not seen", f"{said} in {_told(read)}")

    def _may_hide(self, read: Read, said: Said) -> bool:
        return self._group.may_hide(read, said) or self._clears.may_hide(read, said)

    def _may_be_missed(self, read: Read, ids: set[int]) -> bool:
        """Tell whether a read may miss a message because only the log had the message.

        The cache was wiped, or one process could not write the message to the cache.
        """
        lost = self._watch.wiped | read.orphaned
        return bool(lost & ids) and not read.stored.keys() & ids

    def _may_be_shown(self, read: Read, ids: set[int]) -> bool:
        """Tell whether a read may show a recalled message because only the log had the recall.

        The reader then had no cache that knew of the recall.
        """
        without_cache = read.partial or not read.whole or self._watch.was_wiped
        return without_cache and not any(read.stored.get(i) for i in ids)

    def _check_rows(self) -> None:
        known = {(s.sender, s.content) for s in self._record.said}
        for row in self._store.rows.values():
            is_known = row.is_recalled or (row.from_user_id, row.content) in known
            if not is_known and row.msg_type is not MsgType.NOTICE:
                self._record.violate("never said", f"{row}")

    def _check_seqs(self) -> None:
        for conversation, rows in self._rows.items():
            seqs = sorted(row.seq or 0 for row in rows)
            if seqs != list(range(1, len(rows) + 1)):
                self._record.violate("seq gap", f"{conversation}: {seqs}")

    def _untold_deletes(self, user: int) -> set[int]:
        begun = [said for said in self._record.said if user in said.delete_begun]
        return {row.id for s in begun if user not in s.deleted for row in self._rows_of(s)}

    def _check_marks(self) -> None:
        """Judge that each recall mark has ended with its tombstone.

        The mark of a recall that nobody was told of may stay.
        """
        for message_id in self._watch.cache.marks:
            row = self._store.rows.get(message_id)
            if row is not None and row.is_recalled:
                self._record.violate("mark left", f"{message_id}: {row}")

    def _ids_of(self, said: Said) -> set[int]:
        return {*said.ids, *(row.id for row in self._rows_of(said))}

    def _rows_of(self, said: Said) -> list[Message]:
        return [
            row
            for row in self._rows.get(said.conversation, [])
            if row.id in said.ids
            or (row.from_user_id == said.sender and row.content == said.content)
            or (said.client_msg_id is not None and row.client_msg_id == said.client_msg_id)
        ]

    def _may_be_lost(self, said: Said) -> bool:
        """Tell whether the message may be lost: every acknowledgement rested on the cache alone.

        The cache was wiped; or it was killed before it wrote the message to its file, and the
        process that had accepted the message has died as well.
        """
        return self._gone(said).issuperset(said.ids) and all(
            durability is Durability.CACHE for durability in said.durabilities
        )

    def _gone(self, said: Said) -> set[int]:
        """Return the ids that nobody but the lost cache and a dead process had."""
        dead = {i for i, life in said.accepted_by.items() if life.is_dead}
        return self._watch.excused | (self._watch.rewound & dead)


def _before(moment: int | None, read: Read) -> bool:
    return moment is not None and moment < read.begun


def _told(read: Read) -> str:
    return (
        f"the read {read.begun} of {read.conversation} by user {read.reader}: {_brief(read.seen)}"
    )


def _brief(messages: Iterable[Message]) -> Sequence[str]:
    return [f"{m.id}:{m.content or 'recalled'}:{m.seq}" for m in messages]
