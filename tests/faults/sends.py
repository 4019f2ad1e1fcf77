"""Gather by `clientMsgId` the sends of a transcript, and the ids that the clients were told.

Pure.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from tests.faults.transcript import ALREADY_RECALLED, Operation, StoredMessage, Transcript

NEVER = float("inf")


@dataclass(slots=True)
class Send:
    """Hold one message that somebody sent, however often.

    Times are those of the first acknowledgement.
    """

    client_msg_id: str
    sender: int
    conversation: str
    content: str
    url: str | None
    attempts: int = 0
    first_tried_s: float = NEVER
    last_tried_s: float = 0.0
    maybe: bool = False  # an attempt was acknowledged, or its outcome is unknown
    told: dict[int, float] = field(default_factory=dict)  # id: acknowledged
    rows: list[StoredMessage] = field(default_factory=list)
    recalled_s: float = NEVER
    maybe_recalled: bool = False
    deleted_s: dict[int, float] = field(default_factory=dict)  # by user
    maybe_deleted_s: dict[int, float] = field(default_factory=dict)  # by user: first try invoked

    @property
    def acknowledged_s(self) -> float:
        return min(self.told.values(), default=NEVER)

    @property
    def ids(self) -> set[int]:
        return {*self.told, *(row.id for row in self.rows)}

    @property
    def what(self) -> str:
        return f"{self.client_msg_id} of {self.sender} in {self.conversation} {sorted(self.ids)}"


class SendsById:
    """Find the sends of a transcript by `clientMsgId`, by id or by content."""

    def __init__(self, transcript: Transcript) -> None:
        self.all: dict[str, Send] = {}
        self.strangers: list[StoredMessage] = []  # rows that nobody sent
        for operation in transcript.operations:
            if operation.kind == "send":
                self._note_send(operation)
        self._note_rows(transcript.rows)
        self._by_id = {id_: send for send in self.all.values() for id_ in send.ids}
        self._by_content = {send.content: send for send in self.all.values()}
        self.of_conversation: dict[str, list[Send]] = defaultdict(list)
        for send in self.all.values():
            self.of_conversation[send.conversation].append(send)
        for operation in transcript.operations:
            self._note_taken_back(operation)

    @property
    def second_ids(self) -> int:
        """Return the number of ids that senders were told beyond one for each send."""
        return sum(max(0, len(send.told) - 1) for send in self.all.values())

    def is_repeat(self, operation: Operation) -> bool:
        """Tell whether this send was made before; if so, it is told its id in any case."""
        send = self.all.get(operation.client_msg_id or "")
        return send is not None and send.first_tried_s < operation.invoked_s

    def find(self, message_id: int, content: str = "") -> Send | None:
        """Return the send of this id, or of this content when nobody was told the id."""
        return self._by_id.get(message_id) or self._by_content.get(content)

    def _note_send(self, operation: Operation) -> None:
        name = operation.client_msg_id
        assert name is not None
        send = self.all.get(name)
        if send is None:
            send = self.all[name] = Send(
                name, operation.user, operation.conversation, operation.content, operation.url
            )
        send.attempts += 1
        send.first_tried_s = min(send.first_tried_s, operation.invoked_s)
        send.last_tried_s = max(send.last_tried_s, operation.invoked_s)
        send.maybe |= operation.outcome != "refused"
        if operation.outcome == "ok":
            assert operation.message_id is not None
            earlier = send.told.get(operation.message_id, NEVER)
            send.told[operation.message_id] = min(earlier, operation.completed_s)

    def _note_rows(self, rows: list[StoredMessage]) -> None:
        for row in rows:
            if row.is_notice:
                continue  # told by the service itself
            send = self.all.get(row.client_msg_id or "")
            if send is None or send.sender != row.sender:
                self.strangers.append(row)
            else:
                send.rows.append(row)

    def _note_taken_back(self, operation: Operation) -> None:
        if operation.kind not in ("recall", "delete") or operation.message_id is None:
            return
        send = self._by_id.get(operation.message_id)
        if send is None:
            return
        done = operation.outcome == "ok"
        if operation.kind == "recall":
            done |= operation.code == ALREADY_RECALLED
            send.maybe_recalled |= done or operation.outcome == "unknown"
            if done:
                send.recalled_s = min(send.recalled_s, operation.completed_s)
            return
        user = operation.user
        if operation.outcome != "refused":
            first = send.maybe_deleted_s.get(user, NEVER)
            send.maybe_deleted_s[user] = min(first, operation.invoked_s)
        if done:
            first = send.deleted_s.get(user, NEVER)
            send.deleted_s[user] = min(first, operation.completed_s)
