"""Make the texts of the load, each from its sender and number.

The check makes each text anew and compares it with the stored one, so no text that was sent has to
be remembered. Pure.
"""

from __future__ import annotations

import json
from functools import cache

from bench.load.receipts import SentMessage
from messaging.domain.message import ChatType

FILLER = 'The ferry leaves at nine 渡轮九点开 🚢 \\ "quoted" & <b>bold</b> it\'s late — '
NUMBER = b"%09d"
MAX_TEXT_BYTES = 4_096
DEFAULT_TEXT_BYTES = 120
FIRST = NUMBER % 0


def text_of(sent: SentMessage, *, run: str, size: int) -> str:
    """Return the text of a message: at most `size` bytes of UTF-8, and 40 at least."""
    start = f"{run}.{sent.lap:02d} {sent.sender:06d} {sent.number:09d} "
    return start + _filler(max(size, 40) - len(start))


def client_msg_id_of(sent: SentMessage, *, run: str) -> str:
    return f"{run}.{sent.lap:02d}-{sent.sender:06d}-{sent.number:09d}"


def send_body(sent: SentMessage, *, run: str, to: int, chat_type: int, size: int) -> bytes:
    """Return the JSON of a message.

    The message's number is in the JSON twice, as NUMBER formats it.
    """
    body = {
        "toUserId" if chat_type == ChatType.PRIVATE else "groupId": str(to),
        "chatType": chat_type,
        "msgType": 1,
        "clientMsgId": client_msg_id_of(sent, run=run),
        "content": text_of(sent, run=run, size=size),
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


@cache
def _filler(size: int) -> str:
    text = FILLER * (size // len(FILLER) + 1)
    return text.encode()[:size].decode(errors="ignore")
