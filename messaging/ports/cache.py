"""Promise the cache of messages to the use cases and pipelines, one protocol a role.

Changes of the state of one message are atomic, and only move up (`message.join`).

Raises: CacheUnavailable, from every method, when Redis does not confirm in time.
Leaves: a write perhaps done, perhaps not.
Safe to repeat: every write but `take_rates`; a repeated `count_attempt` or limited `accept` counts
again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from messaging.domain.conversations import Floor
from messaging.domain.ids import WorkerLease
from messaging.domain.message import Message, Recall
from messaging.ports.cache_service import CacheHealth, Leases, SharedRates
from messaging.ports.cached import (
    CachedTail,
    Guarded,
    IdempotencyRecord,
    PendingEntry,
    ReaderView,
    Verdict,
)
from messaging.ports.listings import Listings
from messaging.ports.store import Deletes

DISTRUSTED_MS = 15_000  # longer than any process remembers a membership
GUARD_TTL_MS = 30_000  # of a group's doubts and floor, from the last change
FILL_TTL_S = 10  # the life of a token for `fill`
TAIL_CAP = 1_000  # ids of a conversation's list, beside pending ones
MOST_IDS_READ = 2_000  # ids of a list for one page, however many of them its reader has deleted


class Accepting(Protocol):
    """Accept new messages, and detect those that repeat an earlier send."""

    async def accept(
        self,
        messages: Sequence[Message],
        lease: WorkerLease | None,
        *,
        texts: Sequence[bytes] = (),
        limited: bool = True,
        asked_after: Sequence[int | None] = (),
    ) -> list[Verdict]:
        """Write new PENDING messages to the cache, all in one atomic step.

        Each message gets its detail, its place in the conversation's list, its pending mark and its
        idempotency record. Return a verdict for each message: None when the message is accepted,
        the IdempotencyRecord of an earlier send with its (sender, clientMsgId), RateLimited
        (`send_rate`, `send_burst`), PendingFull (`pending_bytes`), or Guarded. Nothing of the
        message is written but in the first case. An idempotency record made by an earlier message
        of the same call counts.

        `texts`: the messages as `encode_message` encodes them, where the caller has the texts at
        hand.
        `limited`: False for messages that are acknowledged already: there are no limits, and
        neither RateLimited nor PendingFull is returned.
        `asked_after`: for each message the score after which the sender's rights were asked for
        (`GroupAccess.asked_after`), or None. The guard judges messages with a score alone, before
        they count in a rate. A message with a known idempotency record is never guarded.

        Raises: LeaseLost when `lease` is fenced and another owner holds its worker id.
        Leaves: nothing written, after LeaseLost.
        """

    async def find_idempotency_record(
        self, user_id: int, client_msg_id: str
    ) -> IdempotencyRecord | None:
        """Return the record of the send that this user made under this clientMsgId, if any."""

    async def add_idempotency_record(self, message: Message) -> IdempotencyRecord | None:
        """Add the idempotency record of a stored message.

        Return the record of another message that has the clientMsgId, else None.
        """

    async def add_alias(self, message_id: int, owner_id: int) -> None:
        """Cache for half an hour that the id of a repeated send leads to the message `owner_id`.

        The alias in the store counts once the store has deduplicated the repeat into that message.
        """

    async def find_alias(self, message_id: int) -> int | None:
        """Return the id of the message that this alias leads to, if the alias is cached."""


class Marking(Protocol):
    """Keep the states of messages, and update them by what became of them in the store."""

    async def get(self, message_ids: Sequence[int]) -> dict[int, Message]:
        """Return the cached states of these messages, by id, where there is one."""

    async def add_details(self, messages: Sequence[Message]) -> None:
        """Cache stored rows where no state is cached and no recall mark is set.

        A tombstone row is cached in any case, and ends its recall mark.
        """

    async def mark_stored(self, messages: Sequence[Message]) -> None:
        """Join the store's rows (with `seq`) into the cache, and drop their pending marks.

        A cached state becomes PERSISTED and starts to age. A recall in the cache is kept even when
        the row is still NORMAL. A tombstone row blanks the cached content, is cached even if
        nothing was, and ends its recall mark. A row that a loaded list lacks is added to the list
        in its place. Many rows take several steps, between which other calls are served.
        """

    async def mark_duplicates(self, duplicates: Mapping[int, Message]) -> None:
        """Drop duplicates, given by id with the row of the message that each one repeats.

        The idempotency record of the sender's clientMsgId names that row from then on, unless the
        record names another attempt of the send that is pending.
        """

    async def dead_letter(self, messages: Sequence[Message]) -> None:
        """Drop the pending marks of dead-lettered messages, and let their details age.

        The messages leave their conversation's list, and the list's loaded mark is dropped, because
        the store alone decides from then on whether the conversation has the messages.
        """


class Guards(Protocol):
    """Guard the groups in which rights have shrunk, so that no process answers from memory.

    A score is a time up to which rights are in doubt (ms by the cache's clock). The scores of a
    group grow strictly. An answer that was asked for after a score counts until a newer one. While
    the cache recovers, a score of its own stands for all that it may have lost.
    """

    async def distrust(self, conversation_id: str, user_ids: Collection[int] | None) -> None:
        """Let every process ask the database afresh about these users; None: about everybody."""

    async def open_floor(self, conversation_id: str, now_ms: int) -> int:
        """Return a time (ms) that no listed message is later than, and none accepted after bears.

        The time is at least `now_ms`.
        """

    async def judge(self, message: Message, *, asked_after: int) -> Guarded | None:
        """Return the verdict of the guard on a message that is stored without `accept`."""


class Recalls(Protocol):
    """Keep recall marks until the store has the tombstones."""

    async def set_recall_mark(self, message_id: int, recall: Recall) -> Recall:
        """Set the recall mark unless it is set, and return the recall that counts."""

    async def clear_recall_mark(self, message_id: int, recall: Recall) -> None:
        """Drop the recall mark of this recall, when the recall was made durable nowhere.

        The mark stays when the cached message is recalled: another recall with the mark went
        through.
        """

    async def confirm_recall(self, tombstone: Message) -> None:
        """Blank the cached content of a recalled message, or cache its tombstone.

        The cached tombstone does not age while the recall mark is set.
        """

    async def recall_marks(self, message_ids: Sequence[int]) -> dict[int, Recall]:
        """Return the recalls of the marked messages among these ids, by id."""

    async def marked(self) -> list[int]:
        """Return the ids of all messages under a recall mark, in steps."""


class Tails(Protocol):
    """Serve the newest messages of a conversation to one reader."""

    async def cached_tail(
        self, conversation_id: str, *, reader_id: int, before: int | None, limit: int
    ) -> CachedTail:
        """Return the newest `limit` listed messages below `before`, in one round trip.

        `before` None stands for the newest. The tail has fewer messages where the reader has
        deleted very many in between, and where the messages reach MAX_CACHED_TAIL_BYTES.
        """

    async def newest_tails(
        self, limits: Mapping[str, int], *, reader_id: int
    ) -> dict[str, CachedTail]:
        """Return the newest tail of each of these conversations, as `cached_tail` does.

        `limits`: by conversation, the number of messages. Very many take several round trips. Where
        the messages of one trip reach MAX_CACHED_TAIL_BYTES, each further tail has one message.
        """

    async def listed(
        self, conversation_id: str, *, reader_id: int, before: int | None, limit: int
    ) -> CachedTail:
        """Return a tail as `cached_tail` does, but of ids alone: all listed ids are `missing`."""

    async def waiting(self, conversation_id: str, *, limit: int) -> list[int]:
        """Return the pending ids of the conversation's list, newest first, `limit` at most."""

    async def reader_view(self, message_ids: Sequence[int], *, reader_id: int) -> ReaderView:
        """Return the cached states of these ids and the reader's deletes, in one round trip."""

    async def begin_fill(self, conversation_id: str) -> str | None:
        """Return a token for `fill`; None when the tail is loaded, or somebody else fills it.

        Order: take the token before the store is read.
        """

    async def fill(
        self,
        conversation_id: str,
        token: str,
        messages: Sequence[Message],
        *,
        floor: int,
        base: int,
    ) -> None:
        """Load the tail with stored rows, unfiltered, every one above `floor`.

        `base` counts the other rows of the conversation. Nothing is loaded when the token is not
        valid any more, or when a message reached the store past the cache since the token was
        taken. A cached state is never overwritten, and no content is shown under a recall mark.
        """


class HiddenMessages(Protocol):
    """Keep the ids of the messages that a user has deleted, and the user's floors."""

    async def add_deletes(
        self,
        user_id: int,
        message_ids: Sequence[int],
        *,
        floors: Mapping[str, Floor] | None = None,
    ) -> None:
        """Add these ids to the user's deletes, and raise the user's floors.

        `floors`: floors of the user, by conversation. A floor that is higher already stays.
        """

    async def begin_deletes(self, user_id: int) -> str:
        """Return a token for `fill_deletes`. Several readers may have the same one.

        Order: take the token before the store is read.
        """

    async def fill_deletes(self, user_id: int, token: str, known: Deletes) -> None:
        """Add what the store has of a user, as `add_deletes` does.

        From now on the user's deletes are complete above `known.floor`, and the user's floors all
        known: unless anything that was told since the token was taken may be lost.
        """


class PendingMessages(Protocol):
    """List the pending messages, and count the attempts to persist them."""

    async def pending(
        self, *, before_ms: int, limit: int, after: PendingEntry | None = None
    ) -> list[PendingEntry]:
        """Return pending ids sent before `before_ms`, oldest first, behind the entry `after`."""

    async def pending_count(self) -> int: ...

    async def newest_pending(self, *, offset: int, limit: int) -> list[PendingEntry]:
        """Return pending ids for the admin, newest first."""

    async def count_attempt(self, messages: Sequence[Message]) -> dict[int, int]:
        """Count one more attempt to persist each message, and return the counts by id.

        The count of a message that is not pending any more is 0. The list that holds a pending
        message stops ageing.
        """

    async def attempts(self, message_ids: Sequence[int]) -> dict[int, int]:
        """Return for the admin the attempts to persist each of these messages, by id.

        The count is 0 where there was no attempt, and where the message is not pending.
        """


class MessageCache(
    Accepting,
    Guards,
    Marking,
    Recalls,
    Tails,
    HiddenMessages,
    Listings,
    PendingMessages,
    SharedRates,
    Leases,
    CacheHealth,
    Protocol,
):
    """Join all roles of the cache, for the code that builds a process and for the adapters."""
