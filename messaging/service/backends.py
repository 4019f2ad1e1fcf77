"""Hold the parts that a use case works with: ports, id generator, pipelines and settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from messaging.conf import Settings
from messaging.domain.ids import SnowflakeIdGenerator
from messaging.domain.rates import PasswordRates, UserRates
from messaging.ports.cache import MessageCache
from messaging.ports.directory import Directory
from messaging.ports.log import EventLog
from messaging.ports.store import MessageStore

if TYPE_CHECKING:
    from messaging.pipeline.accept import Acceptor
    from messaging.pipeline.catch_up import CatchUp
    from messaging.pipeline.hints import CacheHints
    from messaging.pipeline.write_through import HintedWrites


@dataclass(frozen=True, slots=True, kw_only=True)
class Backends:
    """Hold the parts of this process that the use cases are given."""

    cache: MessageCache
    log: EventLog
    store: MessageStore
    directory: Directory
    ids: SnowflakeIdGenerator
    acceptor: Acceptor
    hints: CacheHints
    writes: HintedWrites
    catch_up: CatchUp
    rates: UserRates
    password_rates: PasswordRates
    settings: Settings
    clock_ms: Callable[[], int]
