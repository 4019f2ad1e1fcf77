"""Hold the application's settings, typed.

The environment is read in `imsite.settings` alone. `settings()` reads `django.conf.settings.IM` at
each call, so that a test may override the settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from django.conf import settings as django_settings

Mode = Literal["async", "sync"]
Network = IPv4Network | IPv6Network

MAX_CONTENT_CODE_POINTS = 5_000
MAX_CONTENT_BYTES = 16 * 1024
MAX_URL_CHARACTERS = 2_048
MAX_AT_USERS = 100
MAX_PAGE_SIZE = 100
DEFAULT_PAGE_SIZE = 20
MAX_PAGED_MESSAGES = 10_000  # page * size; further back by `beforeId`


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Hold every setting of the messaging application.

    `imsite.settings` reads each from its variable; README, "Settings", documents the variables.
    """

    site_url: str = "http://127.0.0.1:8082"  # where commands ask the web
    redis_url: str
    event_log_url: str  # redis://…, or kafka://host:port[,host:port]
    topic: str = "im-message-private"
    dead_letter_topic: str = "im-message-dead-letter"
    partitions: int = 10
    consumer_group: str = "im-message-consumer"
    gateway: bool = True  # the hot calls are answered past Django
    trusted_proxies: tuple[Network, ...] = ()  # whose X-Forwarded-For is believed
    private_mode: Mode = "async"
    group_mode: Mode = "async"  # of groups without a mode of their own
    datacenter_id: int | None = None  # None: lease out of all 1,024 (datacenter, worker) pairs
    worker_lease_s: float = 600.0
    redis_timeout_s: float = 0.4
    log_budget_s: float = 0.008  # how long a send waits for the log before it answers `cache`
    log_timeout_s: float = 5.0  # how long the log's delivery may take at all
    send_timeout_s: float = 0.9  # past it a send is answered 503, whatever it waits for
    store_ack_timeout_s: float = 3.0  # how long `ack: store` waits
    store_timeout_s: float = 5.0  # how long one database call may take
    request_timeout_s: float = 15.0  # how long a synchronous door waits for a use case
    django_queue: int = 256  # requests that may wait for one of Django's threads; past it 429
    django_wait_s: float = 2.0  # how long one may wait for it; past it 429
    accept_group: int = 256  # sends that share one trip
    accept_queue: int = 4_096  # sends that may wait; past it 429
    pending_bytes: int = 512 * 1024 * 1024  # of messages that are not stored yet; past it 503
    send_rate: float = 100.0  # messages a second that one sender may go on sending; 0: any number
    send_burst: int = 200  # messages that one sender may send at once
    conversation_rate: float = 0.0  # messages a second of all senders to one conversation; 0: any
    conversation_burst: int = 200  # at once
    # Requests a second without a good token, for Django to answer, from one address; 0: any.
    stranger_rate: float = 20.0
    stranger_burst: int = 200
    read_rate: float = 100.0  # pages and messages a second that a user may go on reading; 0: any
    read_burst: int = 200  # at once
    change_rate: float = 20.0  # recalls, deletes, blocks and unblocks a second of a user; 0: any
    change_burst: int = 100
    lookup_rate: float = 10.0  # calls a second of a user that need a look-up; 0: any
    lookup_burst: int = 100
    login_address_per_minute: float = 60.0  # passwords that may be tried from an address; 0: any
    login_address_burst: int = 40
    login_name_per_minute: float = 20.0  # under a name, from everywhere; 0: any
    login_name_burst: int = 40
    login_pair_per_minute: float = 10.0  # under a name from one address; 0: any
    login_pair_burst: int = 20
    register_per_hour: float = 60.0  # users that may be registered from an address; 0: any
    register_burst: int = 200
    hash_places: int = 1  # passwords that a process hashes at a time
    hash_queue: int = 4  # passwords that may wait for a place; past it 429
    hash_wait_s: float = 1.0  # how long each waits; past it 429
    group_members: int = 10_000  # of one group
    notice_members: int = 500  # in a larger group nobody is told who comes and goes
    receipt_members: int = 1_000  # in a larger group nobody is told who has read a message
    recall_window_s: int = 300
    identity_ttl_s: float = 30.0
    consumer_batch: int = 2_000  # records of one transaction
    consumer_interval_s: float = 0.05  # a batch that is not full is followed no sooner
    consumer_poll_s: float = 0.2
    dead_letters_in_a_row: int = 100
    compensate_every_s: float = 60.0
    compensate_after_s: float = 30.0
    compensate_batch: int = 500
    compensate_attempts: int = 2
    compensate_budget_s: float = 40.0
    metrics: bool = True  # count, and write the counts of this process each second
    metrics_dir: str = ""  # where the processes of a site write their counts; "": nowhere
    exporter_url: str = "http://127.0.0.1:9182"  # where the admin and commands ask the exporter

    def mode_of(self, chat_type: int) -> Mode:
        return self.group_mode if chat_type == 2 else self.private_mode


def settings() -> Settings:
    """Return the settings in force."""
    current = django_settings.IM
    assert isinstance(current, Settings)
    return current
