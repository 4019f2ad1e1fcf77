"""Name the limits of a request and of its answer, each with its unit.

Past a limit comes a refusal before any work on the text. The limits of a message and of a page are
in `messaging.conf`, those that an operator sets are settings.
"""

from __future__ import annotations

# --- the address and the headers ------------------------------------------------------------

MAX_TARGET_BYTES = 8 * 1024  # path and query together; past it 400
MAX_HEADER_BYTES = 16 * 1024  # all names and values together; past it 400
MAX_HOST_BYTES = 253 + len(":65535")  # a longer one is no name of any host
MAX_LANGUAGE_BYTES = 256  # of Accept-Language; the rest is not read
MAX_COOKIE_BYTES = 4 * 1024  # a longer Cookie is dropped
MAX_TOKEN_BYTES = 1_024  # a token of ours has about 350; a longer one is not opened

# Django and its libraries take more than linear time over these; longer ones are dropped.
MAX_PARSED_HEADER_BYTES = {
    b"content-type": 256,
    b"referer": 2_048,
    b"origin": 300,
    b"range": 256,
    b"if-none-match": 256,
    b"if-match": 256,
    b"if-modified-since": 64,
    b"if-unmodified-since": 64,
}

# --- the body -------------------------------------------------------------------------------

# Of a sender without a good token. A name of 32 characters and a password of 1,024 bytes, every
# character of both written as an escape (`\u0061`), have 6,600 bytes.
MAX_UNKNOWN_BODY_BYTES = 8 * 1024
# Of a form of the admin, from a browser with a session.
MAX_FORM_BODY_BYTES = 64 * 1024
# Of a sender with a good token. The largest send (16 KiB of content, an address, 100 ids), every
# character of it written as an escape, has 77,000 bytes.
MAX_BODY_BYTES = 128 * 1024
# Of a sync by such a sender: a cursor, and the positions beside it.
MAX_SYNC_BODY_BYTES = 512 * 1024
MAX_JSON_DEPTH = 32
MAX_JSON_PARTS = 2_000  # quotes, and commas and opening brackets outside of strings; a send has 350

# --- the fields of users --------------------------------------------------------------------

MIN_NAME_CHARACTERS = 3  # of a name to register
MAX_NAME_CHARACTERS = 32
MAX_LOGIN_NAME_CHARACTERS = 150  # the admin may give such names; as it is sent and in NFKC form
MAX_GROUP_NAME_CHARACTERS = 100
MAX_PASSWORD_BYTES = 1_024  # in UTF-8
MAX_NICKNAME_CHARACTERS = 64

# --- groups ---------------------------------------------------------------------------------

MAX_ANNOUNCEMENT_CHARACTERS = 2_000
MAX_JOIN_TEXT_CHARACTERS = 200
MAX_REQUEST_ID_CHARACTERS = 64
MAX_NAMED_USERS = 200  # whom one call creates a group with, invites or removes
MAX_ADMINS = 50  # of a group, beside its owner
MAX_MUTE_S = 30 * 24 * 60 * 60  # of a member, but for a mute for good
# Changes of groups that may take a right away, in a process. While Redis is away each one waits for
# five seconds, and holds one of Django's sixteen threads.
NARROWING_AT_A_TIME = 8
MAX_NOTICE_USERS = 20  # whom a notice names; the count tells of all

# --- conversations --------------------------------------------------------------------------

MAX_PINS = 100  # conversations of a user
MAX_RECEIPTS = 100  # marks of one call
MAX_UNREAD = 999  # more are not counted
MAX_CONVERSATION_MUTE_S = 366 * 24 * 60 * 60  # but for a mute for good

# --- sync -----------------------------------------------------------------------------------

# Of a cursor that a call gives. A cursor of 10,000 private chats, whose ids are spread over all
# that there are, with a million messages each, has 300 KiB.
MAX_CURSOR_BYTES = 448 * 1024
MAX_POSITIONS = 100  # that a call gives beside its cursor
MAX_SYNCED_CONVERSATIONS = 100  # that one answer tells of
MAX_SYNCED_MESSAGES = 500  # of one answer; past it the answer ends and the next one goes on
MAX_SYNCED_CHANGES = 100  # of one conversation in one answer
MAX_SYNCED_DELETES = 1_000  # of one conversation in one answer

# --- the queue before Django ----------------------------------------------------------------

STRANGERS_AT_A_TIME = 4  # calls of one address without a good token that Django answers

# --- pages ----------------------------------------------------------------------------------

READ_BYTES = 16 * 1024  # so many bytes of a page count as one more read
PAGES_UNDER_WAY = 4  # of one reader, in a process; the next ones wait

# --- the answer -----------------------------------------------------------------------------

ANSWER_PIECE_BYTES = 64 * 1024  # a longer answer goes out piece by piece, as its client takes them
UNTAKEN_TIMEOUT_S = 30.0  # a client that takes nothing for so long is given up
MAX_UNTAKEN_BYTES = 64 * 1024 * 1024  # of answers in pieces, in one process; past it 429
MAX_UNTAKEN_ADDRESS_BYTES = 16 * 1024 * 1024  # the same, for one client address
MAX_PAGE_BYTES = 512 * 1024  # of a page's messages, as JSON; past it the page ends and goes on
MAX_CACHED_TAIL_BYTES = 512 * 1024  # of messages that one reading takes, and one over it

# --- passwords ------------------------------------------------------------------------------

HASHES_A_CLIENT = 2  # hashes of an address in a process, running and waiting; past it 429
