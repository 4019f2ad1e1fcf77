"""Read the values that a client may send: one reader a kind returns it typed, or refuses it.

`requests` composes the readers. No reader knows a request, a framework or a field's name. Text is
never trimmed, and but for a name never normalised: it is judged as it was sent.

Raises: InvalidField, from every reader of a kind.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import urlsplit

from messaging.conf import (
    MAX_AT_USERS,
    MAX_CONTENT_BYTES,
    MAX_CONTENT_CODE_POINTS,
    MAX_PAGE_SIZE,
    MAX_URL_CHARACTERS,
)
from messaging.domain.field_errors import CLIENT_MSG_ID_CHARACTERS as CLIENT_MSG_ID_CHARACTERS
from messaging.domain.field_errors import FieldError as FieldError
from messaging.domain.field_errors import InvalidField as InvalidField
from messaging.domain.message import ID_MAX, ChatType, MsgType
from messaging.limits import MAX_LOGIN_NAME_CHARACTERS, MAX_PASSWORD_BYTES, MAX_TOKEN_BYTES

# Characters that show nothing, beside the separators, controls and formats of Unicode: the rest of
# Default_Ignorable_Code_Point, and the blanks among letters and symbols.
_INVISIBLE = frozenset(
    chr(code)
    for first, last in (
        (0x034F, 0x034F),  # combining grapheme joiner
        (0x115F, 0x1160),  # Hangul fillers
        (0x17B4, 0x17B5),  # Khmer inherent vowels
        (0x180B, 0x180F),  # Mongolian variation selectors
        (0x2065, 0x2065),
        (0x2800, 0x2800),  # Braille blank
        (0x3164, 0x3164),  # Hangul filler
        (0xFE00, 0xFE0F),  # variation selectors
        (0xFFA0, 0xFFA0),  # halfwidth Hangul filler
        (0xFFF0, 0xFFF8),
        (0x1D159, 0x1D159),  # musical null note head
        (0xE0000, 0xE0FFF),  # tags and further variation selectors
    )
    for code in range(first, last + 1)
)
_INVISIBLE_CATEGORIES = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf"})
_CHAT_TYPES = {each.value: each for each in ChatType}
_MSG_TYPES = {each.value: each for each in MsgType if each is not MsgType.NOTICE}
_DIGITS = re.compile(r"[1-9][0-9]{0,18}")


def is_invisible(character: str) -> bool:
    return unicodedata.category(character) in _INVISIBLE_CATEGORIES or character in _INVISIBLE


def read_number(value: object) -> int | None:
    """Return the number from 1 that ASCII digits spell, without sign, space or leading 0.

    Return None for any other value.
    """
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    return None


def read_id(value: object) -> int:
    """Return an id, 1 to 2^63-1, given as a JSON integer or its digits."""
    number = value if type(value) is int else read_number(value)
    if number is None or not 1 <= number <= ID_MAX:
        raise InvalidField(FieldError.NOT_AN_ID)
    return number


def read_chat_type(value: object) -> ChatType:
    chat_type = _CHAT_TYPES.get(value) if type(value) is int else None
    if chat_type is None:
        raise InvalidField(FieldError.CHAT_TYPE)
    return chat_type


def read_chat_type_digit(value: object) -> ChatType:
    return read_chat_type(read_number(value))


def read_msg_type(value: object) -> MsgType:
    msg_type = _MSG_TYPES.get(value) if type(value) is int else None
    if msg_type is None:
        raise InvalidField(FieldError.MSG_TYPE)
    return msg_type


def read_text(value: object, *, most: int, too_long: FieldError) -> str:
    """Return a text that every part of the service can hold: no NUL, no half surrogate pair.

    A text of more than `most` characters is refused before anything else is done with it.
    """
    if not isinstance(value, str):
        raise InvalidField(FieldError.NOT_TEXT)
    if len(value) > most:
        raise InvalidField(too_long)
    if "\0" in value:
        raise InvalidField(FieldError.NUL)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidField(FieldError.SURROGATE) from error
    return value


def read_caption(value: object) -> str:
    """Return a text within the limits of a message; the text may be blank."""
    text = read_text(value, most=MAX_CONTENT_CODE_POINTS, too_long=FieldError.CONTENT_TOO_LONG)
    if len(text.encode()) > MAX_CONTENT_BYTES:
        raise InvalidField(FieldError.CONTENT_TOO_LARGE)
    return text


def read_content(value: object) -> str:
    """Return a text within the limits of a message, with something visible in it."""
    text = read_caption(value)
    if all(map(is_invisible, text)):
        raise InvalidField(FieldError.BLANK)
    return text


def read_url(value: object) -> str:
    """Return an address with scheme http or https and a host, or a path of this site."""
    url = read_text(value, most=MAX_URL_CHARACTERS, too_long=FieldError.URL_TOO_LONG)
    if "\\" in url or any(map(is_invisible, url)):
        raise InvalidField(FieldError.URL)
    if url.startswith("/"):
        if url.startswith("//"):  # a browser takes it for another host
            raise InvalidField(FieldError.URL)
        return url
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port  # reading either refuses some addresses
    except ValueError as error:
        raise InvalidField(FieldError.URL) from error
    if parts.scheme not in ("http", "https") or not host:
        raise InvalidField(FieldError.URL)
    return url


def read_ids(value: object) -> tuple[int, ...]:
    """Return a list of ids, each once, in their order."""
    if not isinstance(value, list):
        raise InvalidField(FieldError.NOT_A_LIST)
    if len(value) > MAX_AT_USERS:
        raise InvalidField(FieldError.TOO_MANY_IDS)
    return tuple(dict.fromkeys(map(read_id, value)))


def read_size(value: object) -> int:
    size = read_number(value)
    if size is None or size > MAX_PAGE_SIZE:
        raise InvalidField(FieldError.SIZE)
    return size


def read_client_msg_id(value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= CLIENT_MSG_ID_CHARACTERS:
        raise InvalidField(FieldError.CLIENT_MSG_ID)
    if not (value.isascii() and value.isprintable()):
        raise InvalidField(FieldError.CLIENT_MSG_ID)
    return value


def read_name(value: object) -> str:
    """Return the name of a user in Unicode's NFKC form, as Django keeps it.

    The form may take quadratic time to find, and 18 times the characters: hence the length is
    checked before and after.
    """
    most, too_long = MAX_LOGIN_NAME_CHARACTERS, FieldError.NAME_TOO_LONG
    name = unicodedata.normalize("NFKC", read_text(value, most=most, too_long=too_long))
    if len(name) > most:
        raise InvalidField(too_long)
    return name


def read_token(value: object) -> str:
    """Return a token as it was sent.

    A token too long to be one of this service is refused before anything else is done with it.
    """
    return read_text(value, most=MAX_TOKEN_BYTES, too_long=FieldError.TOKEN_TOO_LONG)


def read_password(value: object) -> str:
    """Return a password as it was sent."""
    too_large = FieldError.PASSWORD_TOO_LARGE
    password = read_text(value, most=MAX_PASSWORD_BYTES, too_long=too_large)
    if len(password.encode()) > MAX_PASSWORD_BYTES:
        raise InvalidField(too_large)
    return password
