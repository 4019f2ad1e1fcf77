"""Hold the statements on participants: read, mark and change them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from messaging.domain.conversations import Entry, Head, Participant, Peer, peer_of
from messaging.domain.groups import OutReason
from messaging.domain.message import ID_MAX, ChatType, Message
from messaging.ports.conversations import Readers
from messaging.store.statements import Statements, assigned, chunks
from messaging.store.tables import Seat

COLUMNS = (
    "user_id",
    "conversation_id",
    "rev",
    "is_in",
    "out_reason",
    "floor_id",
    "floor_seq",
    "read_seq",
    "delivered_seq",
    "read_time",
    "pin_time",
    "muted_until",
    "hidden_id",
    "is_marked_unread",
)
PARTICIPANT = ", ".join(f"t.{column}" for column in COLUMNS)
HEAD = "COALESCE(c.last_seq, 0), COALESCE(c.last_rev, 0), COALESCE(c.last_message_id, 0)"
BY_CONVERSATION = "participant_conversation"  # the index
SHOWN = "COALESCE(t.read_time, 0) >= COALESCE(p.receipts_from, 0)"  # as `Peer.is_shown`
POSITIONS = (
    "user_id",
    "conversation_id",
    "read_seq",
    "delivered_seq",
    "read_time",
    "is_marked_unread",
)


class ParticipantTable(Statements):
    """Hold the statements on participants over one connection."""

    def listing(self, user_id: int, conversation_ids: Iterable[str] | None = None) -> list[Entry]:
        """Return a user's conversations as `ConversationStore.listing` promises."""
        query = f"{self._with_heads()} WHERE t.user_id = %s"
        if conversation_ids is None:
            rows = self._read(query, [user_id])
        else:
            within = f"{query} AND t.conversation_id IN"
            rows = list(self._read_all(within, set(conversation_ids), user_id))
        found = {row[1]: (from_participant_row(row), from_head_row(row[-3:])) for row in rows}
        private = [name for name in found if peer_of(name, user_id) is not None]
        peers = self.peers(private, user_id)
        return [
            Entry(participant=participant, head=head, peer=peers.get(name))
            for name, (participant, head) in found.items()
        ]

    def peers(self, conversation_ids: Iterable[str], user_id: int) -> dict[str, Peer]:
        """Return the position of the other party of each of these private conversations."""
        names = list(conversation_ids)
        table = f"participant{self._dialect.by_index('participant', BY_CONVERSATION)}"
        query = (
            f"SELECT conversation_id, read_seq, delivered_seq, COALESCE(read_time, 0) FROM {table}"
            " WHERE user_id <> %s AND conversation_id IN"
        )
        rows = self._read_all(query, names, user_id)
        known = {
            name: Peer(read_seq=read, delivered_seq=got, read_time=read_time)
            for name, read, got, read_time in rows
        }
        return dict.fromkeys(names, Peer()) | known

    def seats(self, seats: Iterable[Seat]) -> dict[Seat, tuple[Participant, Head]]:
        """Return participants by user and conversation, each with the conversation's head."""
        rows = self._read_pairs(self._with_heads(), ("t.user_id", "t.conversation_id"), seats)
        return {(r[0], r[1]): (from_participant_row(r), from_head_row(r[-3:])) for r in rows}

    def _with_heads(self) -> str:
        index = self._dialect.by_index("participant", "PRIMARY")
        return (
            f"SELECT {PARTICIPANT}, {HEAD} FROM participant t{index}"
            " LEFT JOIN conversation c ON c.id = t.conversation_id"
        )

    def raise_positions(self, positions: Iterable[tuple[Any, ...]]) -> None:
        """Raise positions of participants who exist and are in, each a row of `POSITIONS`.

        A position never moves back. `is_marked_unread` only ends. `rev` is raised where `read_seq`
        rises, or where the mark as unread ends.

        Safe to repeat.
        """
        given = self._dialect.given
        rises = f"{given('read_seq')} > read_seq"
        ends = f"is_marked_unread > {given('is_marked_unread')}"
        raised = {  # each column, when it changes, and to which value
            # MySQL assigns in this order: each comparison is with a stored value.
            "rev": (f"({rises} OR {ends})", "rev + 1"),
            "read_time": (rises, given("read_time")),
            "is_marked_unread": (ends, "0"),
            "delivered_seq": (f"{given('delivered_seq')} > delivered_seq", given("delivered_seq")),
            "read_seq": (rises, given("read_seq")),
        }
        assignments = {
            column: f"CASE WHEN is_in AND {condition} THEN {value} ELSE {column} END"
            for column, (condition, value) in raised.items()
        }
        suffix = self._dialect.or_update("user_id, conversation_id", assigned(assignments))
        for part in chunks(sorted(positions)):
            self._insert("participant", POSITIONS, part, suffix)

    def lock_with_pins(self, user_id: int, conversation_id: str) -> tuple[Participant | None, int]:
        """Lock a participant, and all conversations that the user has pinned.

        Return the participant, and the number of pinned conversations that the user is in. The
        locks last until the transaction ends. One statement locks the rows in the order of the key,
        so that two changes of one user wait for each other without a deadlock.
        """
        index = self._dialect.by_index("participant", "PRIMARY")
        query = (
            f"SELECT {PARTICIPANT} FROM participant t{index} WHERE t.user_id = %s"
            " AND (t.conversation_id = %s OR t.pin_time IS NOT NULL)"
            f" ORDER BY t.conversation_id{self._dialect.FOR_UPDATE}"
        )
        locked = map(from_participant_row, self._read(query, [user_id, conversation_id]))
        found = {each.conversation_id: each for each in locked}
        pins = sum(each.is_in and each.pin_time is not None for each in found.values())
        return found.get(conversation_id), pins

    def head(self, conversation_id: str) -> Head:
        query = f"SELECT {HEAD} FROM conversation c WHERE c.id = %s"
        rows = self._read(query, [conversation_id])
        return from_head_row(rows[0]) if rows else Head()

    def update_participant(self, participant: Participant) -> None:
        values = dict(zip(COLUMNS, to_participant_row(participant), strict=True))
        seat = [values.pop("user_id"), values.pop("conversation_id")]
        query = (
            f"UPDATE participant SET {assigned(dict.fromkeys(values, '%s'))}"
            " WHERE user_id = %s AND conversation_id = %s"
        )
        self._execute(query, [*values.values(), *seat])

    # who has read a message

    def readers(self, message: Message, *, has_read: bool, after: int, limit: int) -> Readers:
        """Return readers as `ConversationStore.readers` promises."""
        seq = ID_MAX if message.seq is None else message.seq
        highest_floor = ID_MAX if message.chat_type is ChatType.PRIVATE else message.id
        table = f"participant t{self._dialect.by_index('participant', BY_CONVERSATION)}"
        members = (
            f"FROM {table} LEFT JOIN profile p ON p.user_id = t.user_id"
            " WHERE t.conversation_id = %s AND t.floor_id < %s AND t.user_id <> %s AND t.is_in"
            " AND COALESCE(p.shows_receipts, 1) = 1"
        )
        values = [message.conversation_id, highest_floor, message.from_user_id]
        reads = f"t.read_seq >= %s AND {SHOWN}"
        count = f"SELECT COUNT(CASE WHEN {reads} THEN 1 END), COUNT(*) {members}"
        ((read_count, member_count),) = self._read(count, [seq, *values])
        wanted = reads if has_read else f"NOT ({reads})"
        page = (
            f"SELECT t.user_id {members} AND {wanted} AND t.user_id > %s"
            " ORDER BY t.user_id LIMIT %s"
        )
        ids = [row[0] for row in self._read(page, [*values, seq, after, limit + 1])]
        return Readers(read_count=read_count, member_count=member_count, user_ids=tuple(ids))


def to_participant_row(participant: Participant) -> tuple[Any, ...]:
    """Return the participant's values of `COLUMNS`."""
    return (
        participant.user_id,
        participant.conversation_id,
        participant.rev,
        int(participant.is_in),
        None if participant.out_reason is None else participant.out_reason.value,
        participant.floor_id,
        participant.floor_seq,
        participant.read_seq,
        participant.delivered_seq,
        participant.read_time,
        participant.pin_time,
        participant.muted_until,
        participant.hidden_id,
        int(participant.is_marked_unread),
    )


def from_participant_row(row: Sequence[Any]) -> Participant:
    """Return the participant that a row of `COLUMNS` holds."""
    return Participant(
        user_id=row[0],
        conversation_id=row[1],
        rev=row[2],
        is_in=bool(row[3]),
        out_reason=None if row[4] is None else OutReason(row[4]),
        floor_id=row[5],
        floor_seq=row[6],
        read_seq=row[7],
        delivered_seq=row[8],
        read_time=row[9],
        pin_time=row[10],
        muted_until=row[11],
        hidden_id=row[12],
        is_marked_unread=bool(row[13]),
    )


def from_head_row(row: Sequence[Any]) -> Head:
    """Return the head that a row of `HEAD` holds."""
    return Head(last_seq=row[0], last_rev=row[1], last_id=row[2])
