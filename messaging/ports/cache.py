"""The hot copy of messages, by role.

State changes on one message are atomic and only move up (`events.join`). Every method raises
CacheUnavailable when Redis does not confirm in time; the outcome of a write is unknown then. Every
write is idempotent but for `take_rates`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from messaging.domain.events import Message
from messaging.domain.ids import WorkerLease
from messaging.ports.cached import CacheRun, Claim, Look, PendingEntry, SharedRate, Verdict, Window


class Accepting(Protocol):
    """Take new messages, and know which of them repeat an earlier send."""

    async def accept(
        self,
        messages: Sequence[Message],
        lease: WorkerLease | None,
        *,
        texts: Sequence[bytes] = (),
        limited: bool = True,
    ) -> list[Verdict]:
        """Hold new PENDING messages: detail, place in the conversation's list, pending mark, claim.

        For each message None, or the Claim of an earlier send with its (sender, clientMsgId), or
        RateLimited (`send_rate`, `send_burst`), or PendingFull (`pending_bytes`); nothing of the
        message is written in these cases. With `limited` False there are no limits: the messages
        are acknowledged already, and neither RateLimited nor PendingFull is returned. All in one
        atomic step; a claim made by an earlier message of the same call counts.
        `texts` are the messages as `encode_message` gives them, where the caller has them at hand.
        Raises LeaseLost, with nothing written, when `lease` is fenced and its worker id is held by
        another owner.
        """

    async def find_claim(self, user_id: int, client_msg_id: str) -> Claim | None:
        """The send that is known under this name."""

    async def claim(self, message: Message) -> Claim | None:
        """Claim the name of a message that is stored; returns the claim of another that has it."""

    async def add_alias(self, message_id: int, owner_id: int) -> None:
        """Remember for half an hour that this id, of a repeated send, leads to that message.

        Until the store has folded the one into the other: its word counts then.
        """

    async def find_alias(self, message_id: int) -> int | None:
        """Return the message that this id leads to, if it was added."""


class Marking(Protocol):
    """Hold the states of messages, and learn what became of them in the store."""

    async def get(self, message_ids: Sequence[int]) -> dict[int, Message]:
        """The cached states among these ids."""

    async def add_details(self, messages: Sequence[Message]) -> None:
        """Cache stored rows where no state is cached and no recall mark is set."""

    async def mark_stored(self, messages: Sequence[Message]) -> None:
        """Join the store's rows (with `seq`) into the cache and drop their pending marks.

        A cached state becomes PERSISTED and starts to age; a recall in the cache is kept even when
        the row is still NORMAL. A tombstone row blanks the cached content, is cached even if
        nothing was, and ends its recall mark. A row unknown to a loaded list is added to it in its
        place. Many rows take several steps, between which others are served.
        """

    async def mark_folded(self, folded: Mapping[int, Message]) -> None:
        """Forget messages (by id) that repeat an earlier send, whose row is given."""

    async def park(self, messages: Sequence[Message]) -> None:
        """Drop the pending marks of dead-lettered messages and let their details age."""


class Recalls(Protocol):
    """Keep recall marks until the store has the tombstones."""

    async def claim_recall(self, message_id: int, recall_time: int) -> int:
        """Set the recall mark unless it is set; returns the recall time that counts."""

    async def release_recall(self, message_id: int, recall_time: int) -> None:
        """Take back a mark set with this time, when the recall was made durable nowhere."""

    async def confirm_recall(self, tombstone: Message) -> None:
        """Blank the cached content, or cache the tombstone; it stays while the recall mark does."""

    async def recall_marks(self, message_ids: Sequence[int]) -> dict[int, int]:
        """The recall times of the marked ones among these ids."""


class Tails(Protocol):
    """Serve the newest messages of a conversation to one reader."""

    async def window(
        self, conversation_id: str, *, reader_id: int, before: int | None, limit: int
    ) -> Window:
        """The newest `limit` listed messages below `before`, in one round trip.

        Fewer where the reader has deleted very many in between, and where so many reach
        MAX_WINDOW_BYTES.
        """

    async def listed(
        self, conversation_id: str, *, reader_id: int, before: int | None, limit: int
    ) -> Window:
        """As `window`, but with ids alone: all that are listed are `missing`."""

    async def waiting(self, conversation_id: str, *, limit: int) -> list[int]:
        """The ids of the conversation's list that are pending, newest first, `limit` at most."""

    async def look(self, message_ids: Sequence[int], *, reader_id: int) -> Look:
        """The cached states among these ids and the reader's deletes, in one round trip."""

    async def begin_fill(self, conversation_id: str) -> str | None:
        """A token for `fill`, to be taken before the store is read; None if somebody else fills."""

    async def fill(
        self,
        conversation_id: str,
        token: str,
        messages: Sequence[Message],
        *,
        floor: int,
        base: int,
    ) -> None:
        """Load the tail: stored rows, unfiltered, every one above `floor`; `base` count the rest.

        Does nothing when a message reached the store past the cache since the token was taken.
        Never overwrites a cached state, nor shows content under a recall mark.
        """


class HiddenMessages(Protocol):
    """Know which messages a user has deleted."""

    async def add_deletes(
        self, user_id: int, message_ids: Sequence[int], *, floor: int | None = None
    ) -> None:
        """Add to the user's deletes; with `floor`, they are complete above that id from now on."""


class PendingMessages(Protocol):
    """List what is not stored yet."""

    async def pending(
        self, *, before_ms: int, limit: int, after: PendingEntry | None = None
    ) -> list[PendingEntry]:
        """Pending ids sent before `before_ms`, oldest first, after the given entry."""

    async def pending_count(self) -> int: ...

    async def newest_pending(self, *, offset: int, limit: int) -> list[PendingEntry]:
        """For the admin: pending ids, newest first."""

    async def retry(self, messages: Sequence[Message]) -> dict[int, int]:
        """Count one more attempt to persist each; the list that holds it stops ageing."""

    async def attempts(self, message_ids: Sequence[int]) -> dict[int, int]:
        """For the admin: the attempts to persist each of these; 0 for none and for not pending."""


class SharedRates(Protocol):
    """Count requests for all processes together."""

    async def take_rates(self, rates: Sequence[SharedRate]) -> float:
        """Count one request against each of these; returns 0.0.

        Where one of them is used up nothing is counted: returns the seconds to wait.
        """


class Leases(Protocol):
    """Lease names and worker ids to one owner at a time."""

    async def take_lease(self, name: str, owner: str, ttl_s: float) -> bool:
        """Take a named lease or renew one's own; False when another owner holds it."""

    async def is_leased(self, name: str) -> bool:
        """Tell whether anybody holds this lease."""

    async def take_worker(
        self, node: int, owner: str, ttl_s: float, *, now_ms: int, until_ms: int
    ) -> int | None:
        """Lease a worker id as `take_lease` does, and note that its ids bear times to `until_ms`.

        Returns the last time that another owner may have used, 0 where none is known. None when
        another owner holds it, or when another's ids are of a time after `now_ms`, which the caller
        could give again.
        """


class CacheHealth(Protocol):
    """Tell whether the cache can be believed."""

    async def ping(self) -> None: ...

    async def probe(self, present: str | None = None) -> CacheRun:
        """Return when it takes a write.

        Until its run is settled windows and looks are `recovering`. They are for some seconds, too,
        when a process is missed that was `present`, which it says about every 0.2 s: it has died or
        lost the cache, and may have accepted what the cache was never told.
        """

    async def note_held(self, ttl_s: float) -> None:
        """Let every process know for so long that a consumer holds a partition for a person."""

    async def leave(self, present: str) -> None:
        """This process owes nothing and is not to be missed. Idempotent."""

    async def begin_epoch(self, run: str, *, returned: bool) -> None:
        """The caller has told everything that is lacking in this run, which is settled by that.

        For some seconds more windows and looks are `recovering`, unless another caller has settled
        it before and this one was not away and `returned`. Raises CacheUnavailable when another
        run has begun meanwhile.
        """

    async def drop_copies(self) -> list[int]:
        """Forget what the store has too: stored details, how far lists and deletes are complete.

        Pending messages stay, the lists that show them, claims and recalls. Returns the messages
        under a recall mark. Takes several steps.
        """

    async def close(self) -> None: ...


class MessageCache(
    Accepting,
    Marking,
    Recalls,
    Tails,
    HiddenMessages,
    PendingMessages,
    SharedRates,
    Leases,
    CacheHealth,
    Protocol,
):
    """All roles of the cache, for what builds a process and for the adapters."""
