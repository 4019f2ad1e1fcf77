"""Make the bytes of each request, from a template at the sender's turn."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from msgspec.json import encode

from bench.load.answers import accepted_of
from bench.load.content import FIRST, NUMBER, send_body
from bench.load.receipts import Receipts, SentMessage, tag_base
from messaging.domain.ids import group_conversation, private_conversation
from messaging.domain.message import ChatType

SEND, HISTORY, RECALL, LIST, SYNC, MARK = range(6)
PAGE_SIZE = 20
write_number = Struct(f"{len(FIRST)}s").pack_into
OPERATIONS = ("send", "history", "recall", "list", "sync", "mark")
MIX = (SEND, SEND, HISTORY, SEND, SEND, RECALL, SEND, HISTORY, SEND, SEND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Name one who sends: a user, to a user or a group.

    `index` is unique within the run. `cursor`: the point from which the user syncs; None is the
    beginning.
    """

    index: int
    user_id: int
    token: str
    to: int
    chat_type: int
    cursor: str | None = None

    @property
    def conversation_id(self) -> str:
        if self.chat_type == ChatType.GROUP:
            return group_conversation(self.to)
        return private_conversation(self.user_id, self.to)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSite:
    """Say where the requests of a lap go, and what its texts are made of."""

    host: str
    port: int
    run: str
    lap: int
    text_bytes: int


def authority(host: str, port: int) -> str:
    """Return the host and port as a URL and the header Host name them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Sender:
    """Send as one account, with one request under way at a time, so that the order is known."""

    def __init__(self, account: Account, site: TargetSite) -> None:
        self.tag = tag_base(site.lap, account.index)
        self.turn = account.index
        self.number = -1
        self.last_id = 0
        self.operation = SEND
        self._headers = (
            f"Host: {authority(site.host, site.port)}\r\nAuthorization: Bearer {account.token}\r\n"
            "Content-Type: application/json\r\n"
        )
        body = send_body(
            SentMessage(site.lap, account.index, 0),
            run=site.run,
            to=account.to,
            chat_type=account.chat_type,
            size=site.text_bytes,
        )
        self._send = bytearray(self._post("/api/message/send", body))
        self._second = self._send.rindex(FIRST)
        self._first = self._send.rindex(FIRST, 0, self._second)
        self._history = (
            f"GET /api/message/history?targetId={account.to}&chatType={account.chat_type}"
            f"&size={PAGE_SIZE} HTTP/1.1\r\n{self._headers}\r\n"
        ).encode()
        self._list = f"GET /api/conversation/list HTTP/1.1\r\n{self._headers}\r\n".encode()
        self._sync = self._post("/api/sync", encode({"cursor": account.cursor}))
        self._conversation = account.conversation_id.encode()
        self._marked = 0

    def send(self) -> bytearray:
        """Return the next message; the bytes are good until the next call."""
        self.operation = SEND
        self.number += 1
        request, number = self._send, NUMBER % self.number
        write_number(request, self._first, number)
        write_number(request, self._second, number)
        return request

    def history(self) -> bytes:
        self.operation = HISTORY
        return self._history

    def recall(self) -> bytes:
        """Return the request that recalls the last acknowledged message."""
        self.operation = RECALL
        return self._post("/api/message/recall", b'{"messageId":"%d"}' % self.last_id)

    def list(self) -> bytes:
        self.operation = LIST
        return self._list

    def sync(self) -> bytes:
        self.operation = SYNC
        return self._sync

    def mark(self) -> bytes:
        """Return the request that marks one message more as read."""
        self.operation = MARK
        self._marked += 1
        item = b'{"conversationId":"%b","readSeq":%d}' % (self._conversation, self._marked)
        return self._post("/api/conversation/receipts", b'{"items":[%b]}' % item)

    def _post(self, path: str, body: bytes) -> bytes:
        head = f"POST {path} HTTP/1.1\r\n{self._headers}Content-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


class Traffic:
    """Make every sender send, one message after the other.

    `usual` is the operation that counts for requests that were due and could not be sent.
    `durability` counts the answers by the first letter of the durability that they name.
    """

    __slots__ = ("_note", "_receipts", "durability")
    usual = SEND

    def __init__(self, receipts: Receipts) -> None:
        self._receipts = receipts
        self._note = receipts.note
        self.durability = [0] * 256

    def request(self, sender: Sender) -> bytes | bytearray:
        """Return what a sender says at its turn."""
        return sender.send()

    def answered(self, sender: Sender, answer: bytes) -> None:
        """Take in an answer with status 200."""
        sender.last_id, durability = accepted_of(answer)
        self._note((sender.last_id, sender.tag + sender.number))
        self.durability[durability] += 1


class Pages(Traffic):
    """Make every sender read the first page of a conversation."""

    __slots__ = ()
    usual = HISTORY

    def request(self, sender: Sender) -> bytes | bytearray:
        return sender.history()

    def answered(self, sender: Sender, answer: bytes) -> None:
        pass


class Lists(Pages):
    """Make every sender read the first page of the own conversations."""

    __slots__ = ()
    usual = LIST

    def request(self, sender: Sender) -> bytes | bytearray:
        return sender.list()


class Syncs(Pages):
    """Make every sender ask, from one cursor again and again, for what is new."""

    __slots__ = ()
    usual = SYNC

    def request(self, sender: Sender) -> bytes | bytearray:
        return sender.sync()


class Marks(Pages):
    """Make every sender mark the messages of a conversation as read, one after the other."""

    __slots__ = ()
    usual = MARK

    def request(self, sender: Sender) -> bytes | bytearray:
        return sender.mark()


class Mix(Traffic):
    """Make seven sends, two pages and one recall of the sender's last message in every ten."""

    __slots__ = ()

    def request(self, sender: Sender) -> bytes | bytearray:
        operation = MIX[sender.turn % len(MIX)]
        sender.turn += 1
        if operation == RECALL and sender.last_id:
            return sender.recall()
        return sender.history() if operation == HISTORY else sender.send()

    def answered(self, sender: Sender, answer: bytes) -> None:
        if sender.operation == SEND:
            super().answered(sender, answer)
        elif sender.operation == RECALL:
            self._receipts.note_recall(sender.last_id, sender.tag + sender.number)
            sender.last_id = 0
