"""Read HTTP/1.1 answers for the load: as few of their bytes as it needs.

Pure.
"""

from __future__ import annotations

OK = b"HTTP/1.1 200"
LOG, CACHE, STORE = b"lcs"
DURABILITIES = {LOG: "log", CACHE: "cache", STORE: "store"}

MAX_KNOWN = 1_000

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length: "
_MESSAGE_ID = b'"messageId":"'
_DURABILITY = b'"durability":"'
_CODE = b'"code":'


class NotHttp(Exception):
    """Report bytes that are not an answer whose end can be found."""


class Whole:
    """Tell whether an answer has arrived whole.

    Answers look alike, so the place of the length is remembered for each size of an answer.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[int, tuple[bytes, int, int]] = {}

    def is_whole(self, data: bytes) -> bool:
        """Tell whether `data`, the beginning of an answer, is the whole answer.

        Raises: NotHttp for an answer without `Content-Length`, and for more than one answer.
        """
        known = self._known.get(len(data))
        if known:
            line, line_at, head_end = known
            if data.startswith(line, line_at) and data.startswith(_HEAD_END, head_end):
                return True
        return self._read_head(data)

    def _read_head(self, data: bytes) -> bool:
        head_end = data.find(_HEAD_END)
        if head_end < 0:
            return False
        head = data[: head_end + 2].lower()
        line_at = head.find(_LENGTH)
        line = head[line_at : head.find(b"\r", line_at) + 1]
        digits = line[len(_LENGTH) : -1]
        if line_at < 0 or not digits.isdigit():
            raise NotHttp(head.decode("latin-1"))
        missing = head_end + len(_HEAD_END) + int(digits) - len(data)
        if missing < 0:
            raise NotHttp(head.decode("latin-1"))
        if missing:
            return False
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[len(data)] = data[line_at : line_at + len(line)], line_at, head_end
        return True


def accepted_of(data: bytes) -> tuple[int, int]:
    """Return the id and the first letter of the durability in the answer of a send.

    The id and the letter are 0 when the answer has none.
    """
    id_at = data.find(_MESSAGE_ID) + len(_MESSAGE_ID)
    durability_at = data.find(_DURABILITY, id_at) + len(_DURABILITY)
    if id_at < len(_MESSAGE_ID) or durability_at < len(_DURABILITY):
        return 0, 0
    return int(data[id_at : data.index(b'"', id_at)]), data[durability_at]


def error_of(data: bytes) -> str:
    """Return the HTTP status of an answer, and the code of its envelope if that code differs."""
    status = data[9:12].decode("latin-1")
    _, _, rest = data.partition(_CODE)
    code = rest[: len(rest) - len(rest.lstrip(b" 0123456789"))].decode().strip()
    return status if code in ("", status) else f"{status}/{code}"
