"""Test, for any two states of one message, that the cache joins them as the domain does.

The cache in Redis joins encoded texts by patterns, without decoding them.
"""

from __future__ import annotations

from typing import Any

import redis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from messaging.cache.redis_cache import RedisMessageCache
from messaging.conf import Settings
from messaging.domain.groups import Event, Notice, Role
from messaging.domain.message import ChatType, Message, MsgType, Recall, join
from messaging.ports.cache import MessageCache
from messaging.testing.cache import MemoryCache
from tests.contract.cache.conversation import one
from tests.support.messages import make_message

IDS = st.sampled_from([1, 2, 9, 10, 99, 2**53, 2**53 + 1, 2**62, 2**63 - 1])
TIMES = st.sampled_from([0, 1, 9, 10, 99, 1_793_583_090_625])
RECALLS = st.builds(Recall, TIMES, st.none() | IDS)
NOTICES = st.builds(
    Notice,
    event=st.sampled_from(Event),
    user_ids=st.lists(IDS, max_size=3).map(tuple),
    count=st.integers(0, 200),
    changed=st.sampled_from([(), ("name",), ("name", "avatar")]),
    role=st.none() | st.sampled_from(Role),
    muted_until=st.none() | st.sampled_from([-1, 0, 1_793_583_090_625]),
)
IMITATIONS = st.sampled_from(
    [
        "",
        '"seq":null,"persistStatus":"PENDING"',
        ',"recalledBy":"7"',
        '"recallTime":1',
        ',"rev":9,',
        "你好 %d",
    ]
)
REVS = st.sampled_from([0, 1, 9, 10, 2**40])
SEQS = st.sampled_from([1, 2**40])
ANY_CASE = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@st.composite
def messages(draw: Any) -> Message:
    """Draw a message as it is sent, or a notice, to a group or to a user."""
    if notice := draw(st.none() | NOTICES):
        made = make_message(1, chat_type=ChatType.GROUP, msg_type=MsgType.NOTICE, content="")
        return replace(made, notice=notice)
    chat_type = draw(st.sampled_from(ChatType))
    return make_message(1, chat_type=chat_type, content=draw(IMITATIONS), url=draw(IMITATIONS))


async def hold(
    cache: MessageCache, message: Message, recall: Recall | None, seq: int, rev: int
) -> Message:
    """Bring a state of a message into the cache, and return the state; `seq` 0 is pending.

    With a `rev`, the store has the tombstone.
    """
    await cache.accept([message], None)
    if recall is not None:
        await cache.set_recall_mark(message.id, recall)
        await cache.confirm_recall(message.under(recall))
    held = message if recall is None else message.under(recall)
    if seq:
        await cache.mark_stored([replace(held if rev else message, seq=seq, rev=rev)])
    state = replace(held, seq=seq or None, rev=rev)
    assert await one(cache, message) == state
    return state


async def check(
    cache: MessageCache,
    message: Message,
    cached: Recall | None,
    told: Recall,
    seqs: list[int],
    revs: tuple[int, int],
) -> None:
    before, after = seqs
    state = await hold(cache, message, cached, before, revs[0] if before and cached else 0)
    seq = after or before or None
    tombstone = replace(message.under(told), seq=seq, rev=revs[1] if seq else 0)
    if tombstone.seq is not None:
        await cache.mark_stored([tombstone])
    else:
        await cache.confirm_recall(tombstone)
    assert await one(cache, message) == join(state, tombstone)


CASES = given(
    message=messages(),
    cached=st.none() | RECALLS,
    told=RECALLS,
    seqs=st.sampled_from([[0, 0], [0, 1], [1, 0], [1, 1], [0, 2**40]]),
    revs=st.tuples(REVS, REVS),
)
TIE = example(make_message(1), Recall(5, 10), Recall(5, 9), [1, 1], (0, 0))
SENDERS_OWN = example(make_message(1), Recall(5, 1), Recall(5), [1, 1], (0, 0))
LATE_CHANGE = example(make_message(1), Recall(5), Recall(5), [1, 1], (10, 9))


@ANY_CASE
@TIE
@SENDERS_OWN
@LATE_CHANGE
@CASES
async def test_in_memory(
    message: Message,
    cached: Recall | None,
    told: Recall,
    seqs: list[int],
    revs: tuple[int, int],
) -> None:
    await check(MemoryCache(), message, cached, told, seqs, revs)


@ANY_CASE
@TIE
@SENDERS_OWN
@LATE_CHANGE
@CASES
async def test_in_redis(
    redis_url: str,
    message: Message,
    cached: Recall | None,
    told: Recall,
    seqs: list[int],
    revs: tuple[int, int],
) -> None:
    cache = RedisMessageCache(
        Settings(redis_url=redis_url, event_log_url="", redis_timeout_s=5.0, send_rate=0)
    )
    try:
        with redis.Redis.from_url(redis_url) as server:
            server.flushall()
        await check(cache, message, cached, told, seqs, revs)
    finally:
        await cache.close()
