"""Hold the parts that a use case works with: ports, id generator, pipelines and settings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from messaging.conf import Settings
from messaging.domain.changes import Change
from messaging.domain.conversations import Mark, Participant
from messaging.domain.ids import SnowflakeIdGenerator
from messaging.domain.rates import PasswordRates, UserRates
from messaging.domain.sharing import SharedReads
from messaging.domain.stays import Stays
from messaging.ports.cache import MessageCache
from messaging.ports.conversations import ConversationStore
from messaging.ports.directory import Directory
from messaging.ports.groups import GroupStore
from messaging.ports.log import EventLog
from messaging.ports.store import MessageStore

if TYPE_CHECKING:
    from messaging.pipeline.accept import Acceptor
    from messaging.pipeline.catch_up import CatchUp
    from messaging.pipeline.gather import Gatherer
    from messaging.pipeline.hints import CacheHints
    from messaging.pipeline.write_through import HintedWrites
    from messaging.service.listing import Listing


Publish = Callable[[Sequence[Change]], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backends:
    """Hold the parts of this process that the use cases are given.

    `publish`: lets this process's directory forget what has changed, then tells the other
    processes. The call never fails: a process that is not told learns of the changes later.
    `listings`: reads of users' lists in the database.
    `narrowings`: changes of groups that may take a right away, whose answers wait while the cache
    is away.
    """

    cache: MessageCache
    log: EventLog
    store: MessageStore
    directory: Directory
    groups: GroupStore
    conversations: ConversationStore
    publish: Publish
    ids: SnowflakeIdGenerator
    acceptor: Acceptor
    marks: Gatherer[tuple[int, str], Mark, Participant]
    listings: SharedReads[int, Listing]
    narrowings: Stays
    hints: CacheHints
    writes: HintedWrites
    catch_up: CatchUp
    rates: UserRates
    password_rates: PasswordRates
    settings: Settings
    clock_ms: Callable[[], int]
