"""Wait after the heal until everything has drained by itself, and read all of it.

Every member reads every conversation to its end. Every sender asks for every id that the sender was
told. These reads are part of the transcript.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

from kafka import KafkaConsumer, TopicPartition

from messaging.cache import keys
from messaging.domain.message import MsgType
from tests.faults.client import FaultClient
from tests.faults.places import Place, places_of
from tests.faults.rig import GROUP, TOPIC, Cast, Rig
from tests.faults.transcript import NOT_FOUND, Operation, StoredConversation, StoredMessage

DRAIN_TIMEOUT_S = 90.0
CHECK_EVERY_S = 0.25
PAGE = 50
ASKED_AT_ONCE = 8
ASKED_AGAIN, ASK_PAUSE_S = 20, 0.5
ROWS = """\
SELECT id, conversation_id, seq, from_user_id, client_msg_id, content, url, status, msg_type
FROM message WHERE conversation_id IN %s ORDER BY id"""
CONVERSATIONS = "SELECT id, last_seq FROM conversation WHERE id IN %s"
RECALLED = 1


class NotDrained(Exception):
    """Report that something is left that ought to have been stored by itself."""


def await_drained(rig: Rig, is_stored: Callable[[], bool]) -> float:
    """Wait until nothing is pending, the log is consumed and all is stored; return the seconds.

    Raises: NotDrained at the limit.
    """
    began_s = time.monotonic()
    with contextlib.closing(_consumer(rig)) as consumer, rig.servers.redis() as cache:
        while True:
            pending, behind = int(cache.zcard(keys.PENDING)), _behind(consumer)
            if not pending and not behind and is_stored():
                return time.monotonic() - began_s
            if time.monotonic() - began_s > DRAIN_TIMEOUT_S:
                raise NotDrained(f"{pending} pending, {behind} in the log, {is_stored()=}")
            time.sleep(CHECK_EVERY_S)


def _consumer(rig: Rig) -> KafkaConsumer:
    return KafkaConsumer(
        bootstrap_servers=f"127.0.0.1:{rig.servers.proxy_ports['kafka']}",
        group_id=GROUP,
        enable_auto_commit=False,
        metrics_enabled=False,
    )


def _behind(consumer: KafkaConsumer) -> int:
    """Return the number of records in the log that no commit covers."""
    parts = [TopicPartition(TOPIC, each) for each in consumer.partitions_for_topic(TOPIC) or ()]
    ends = consumer.end_offsets(parts)
    return sum(end - (consumer.committed(part) or 0) for part, end in ends.items())


def stored(rig: Rig, conversations: Sequence[str]) -> list[StoredMessage | StoredConversation]:
    """Return the rows and the numbers that the database has of these conversations."""
    with contextlib.closing(rig.servers.database()) as connection:
        cursor = connection.cursor()
        cursor.execute(ROWS, [conversations])
        rows = [_row(*columns) for columns in cursor.fetchall()]
        cursor.execute(CONVERSATIONS, [conversations])
        return [
            *rows,
            *(StoredConversation(id=_text(id_), last_seq=seq) for id_, seq in cursor.fetchall()),
        ]


def _row(
    id_: int,
    conversation: str,
    seq: int,
    sender: int,
    name: str | None,
    content: str,
    url: str | None,
    status: int,
    msg_type: int,
) -> StoredMessage:
    return StoredMessage(
        id=id_,
        conversation=_text(conversation),
        seq=seq,
        sender=sender,
        client_msg_id=_text(name),
        content=_text(content),
        url=_text(url) or None,
        is_recalled=status == RECALLED,
        is_notice=msg_type == MsgType.NOTICE,
    )


def _text(value: str | bytes | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""


async def read_all(cast: Cast, clients: dict[int, list[FaultClient]]) -> bool:
    """Read everything as each member; tell whether no page was partial or refused."""
    walks = [
        _walk(clients[user][0], place) for user in cast.tokens for place in places_of(cast, user)
    ]
    return all(await asyncio.gather(*walks))


async def _walk(client: FaultClient, place: Place) -> bool:
    before = None
    while True:
        page = await client.page(
            place.conversation,
            target=place.target,
            chat_type=place.chat_type,
            size=PAGE,
            before=before,
        )
        if page.outcome != "ok" or page.partial:
            return False
        if not (page.has_more and page.seen):
            return True
        before = page.seen[-1].id


async def ask_for_told(
    cast: Cast, sends: Sequence[Operation], clients: dict[int, list[FaultClient]]
) -> None:
    """Ask for each acknowledged id as its sender, a guest excepted, until there is an answer."""
    told = {
        send.message_id: send
        for send in sends
        if send.kind == "send" and send.message_id is not None and send.user in cast.tokens
    }
    places = asyncio.Semaphore(ASKED_AT_ONCE)

    async def ask(message_id: int, send: Operation) -> None:
        async with places:
            for _ in range(ASKED_AGAIN):
                read = await clients[send.user][0].get(send.conversation, message_id)
                if read.outcome == "ok" or read.code == NOT_FOUND:
                    return
                await asyncio.sleep(ASK_PAUSE_S)

    await asyncio.gather(*(ask(message_id, send) for message_id, send in told.items()))
