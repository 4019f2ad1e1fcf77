"""Name what may be wrong with a field of a request, for every parser and reader.

Pure.
"""

from __future__ import annotations

from enum import StrEnum

from messaging.conf import (
    MAX_AT_USERS,
    MAX_CONTENT_BYTES,
    MAX_CONTENT_CODE_POINTS,
    MAX_PAGE_SIZE,
    MAX_URL_CHARACTERS,
)
from messaging.domain.message import ID_MAX
from messaging.limits import (
    MAX_ANNOUNCEMENT_CHARACTERS,
    MAX_CONVERSATION_MUTE_S,
    MAX_JOIN_TEXT_CHARACTERS,
    MAX_LOGIN_NAME_CHARACTERS,
    MAX_MUTE_S,
    MAX_NAME_CHARACTERS,
    MAX_NAMED_USERS,
    MAX_NICKNAME_CHARACTERS,
    MAX_PASSWORD_BYTES,
    MAX_POSITIONS,
    MAX_RECEIPTS,
    MAX_TOKEN_BYTES,
    MIN_NAME_CHARACTERS,
)

CLIENT_MSG_ID_CHARACTERS = 64


class FieldError(StrEnum):
    """Name every text that says what is wrong with a field; the doors translate the texts."""

    REQUIRED = "This field is required."
    NOT_TEXT = "This must be text."
    NOT_AN_ID = f"This must be an id: a whole number from 1 to {ID_MAX}, in digits."
    CHAT_TYPE = "This must be 1 (private) or 2 (group)."
    MSG_TYPE = "This must be 1 (text), 2 (image), 3 (video), 4 (file) or 5 (voice)."
    NUL = "This must not contain the NUL character."
    SURROGATE = "This is not valid Unicode: it contains half of a surrogate pair."
    BLANK = "This must contain something that can be seen."
    CONTENT_TOO_LONG = f"This must have at most {MAX_CONTENT_CODE_POINTS:,} characters."
    CONTENT_TOO_LARGE = f"This must have at most {MAX_CONTENT_BYTES:,} bytes of UTF-8."
    URL = "This must be an http or https address, or a path that begins with one slash."
    URL_TOO_LONG = f"This must have at most {MAX_URL_CHARACTERS:,} characters."
    NOT_A_LIST = "This must be a list of ids."
    TOO_MANY_IDS = f"This must have at most {MAX_AT_USERS} ids."
    CLIENT_MSG_ID = f"This must be 1 to {CLIENT_MSG_ID_CHARACTERS} printable ASCII characters."
    ACK = "This must be cache, log or store."
    RECEIVER_MISSING = "A private message needs toUserId, a group message groupId."
    RECEIVER_BOTH = "Give toUserId or groupId, not both."
    RECEIVER_PRIVATE = "A private message goes to toUserId."
    RECEIVER_GROUP = "A group message goes to groupId."
    PAGE = "This must be a whole number from 1, in digits."
    SIZE = f"This must be a whole number from 1 to {MAX_PAGE_SIZE}, in digits."
    PAGE_TOO_DEEP = "Page numbers do not reach this far back; use beforeId."
    PAGE_OR_CURSOR = "Give page or beforeId, not both."
    BODY_NOT_JSON = "The body must be valid JSON in UTF-8."
    BODY_NOT_OBJECT = "The body must be a JSON object."
    BODY_TOO_DEEP = "The body is nested too deeply."
    BODY_TOO_MANY = "The body has too many values."
    REQUEST = "The address or the headers of this request cannot be read."
    ONESELF = "You cannot block yourself."
    USERNAME_LENGTH = f"A user name has {MIN_NAME_CHARACTERS} to {MAX_NAME_CHARACTERS} characters."
    PASSWORD_TOO_LARGE = f"This must have at most {MAX_PASSWORD_BYTES:,} bytes of UTF-8."
    NAME_TOO_LONG = f"This must have at most {MAX_LOGIN_NAME_CHARACTERS} characters."
    TOKEN_TOO_LONG = f"This must have at most {MAX_TOKEN_BYTES:,} characters."
    USERNAME_CHARACTERS = "A user name has only letters, digits and the characters . @ + - _"
    USERNAME_SCRIPTS = "A user name must not mix the letters of scripts that look alike."
    GROUP_NAME_LENGTH = "A group name has at most 100 characters."
    NAME_INVISIBLE = "A name must not contain invisible characters."
    NAME_MARKS = "A name must not begin with a combining mark, nor have too many marks."
    NOT_BOOLEAN = "This must be true or false."
    JOIN_MODE = "This must be open, approval or invite."
    HISTORY = "This must be all or joined."
    PERMITTED_ROLE = "This must be admins or members."
    ROLE = "This must be owner, admin or member."
    SETTABLE_ROLE = "This must be admin or member."
    ALLOWS = "This must be everybody or nobody."
    ANNOUNCEMENT_TOO_LONG = f"This must have at most {MAX_ANNOUNCEMENT_CHARACTERS:,} characters."
    JOIN_TEXT_TOO_LONG = f"This must have at most {MAX_JOIN_TEXT_CHARACTERS} characters."
    NICKNAME_TOO_LONG = f"This must have at most {MAX_NICKNAME_CHARACTERS} characters."
    NO_IDS = "This must have at least one id."
    TOO_MANY_USERS = f"This must have at most {MAX_NAMED_USERS} ids."
    OWN_ID = "This must not have your own id."
    MUTE = f"This must be a number of seconds up to {MAX_MUTE_S:,}, 0 for no mute, or -1 for good."
    CONVERSATION_ID = (
        "This must be the id of a conversation: g and the id of a group,"
        " or the ids of both users, the smaller one first, with _ in between."
    )
    CONVERSATION_MUTE = (
        f"This must be a number of seconds up to {MAX_CONVERSATION_MUTE_S:,},"
        " 0 for no mute, or -1 for good."
    )
    NO_SETTING = "Give at least one of pinned, mutedForS, hidden and markedUnread."
    LIMIT = f"This must be a whole number from 1 to {MAX_PAGE_SIZE}."
    ORDER = "This must be newest or oldest."
    POSITIONS = f"This must have at most {MAX_POSITIONS} conversations, each with its position."
    ITEMS = f"This must be a list of 1 to {MAX_RECEIPTS} items."
    ITEM = "Each item must name a conversation, and give readSeq or deliveredSeq."
    NO_READERS = "Nobody is told who has read a notice."
    TRUE_OR_FALSE = "This must be true or false, as text."
    CURSOR = "This must be the cursor of an answer to this call."


class InvalidField(ValueError):
    """Refuse a value; `text` says why."""

    def __init__(self, text: FieldError) -> None:
        super().__init__(text)
        self.text = text
