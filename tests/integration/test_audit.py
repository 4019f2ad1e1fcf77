"""Test `manage.py audit` on a real Redis and database: planted defects are told and mended."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import redis
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from pytest_django import Settings

from messaging import models
from messaging.audit.audit import Audit, AuditPlan
from messaging.audit.findings import Defect, Fate
from messaging.domain.conversation_requests import ListRequest
from messaging.domain.conversations import Mark
from messaging.domain.errors import ApiError
from messaging.domain.events import encode_event, encode_message
from messaging.domain.ids import first_id_at, wall_clock_ms
from messaging.domain.message import Message, PersistStatus
from messaging.ports.log import OutgoingRecord
from messaging.ports.store import DeadLetter
from messaging.progress import Progress
from messaging.runtime import adapters, wiring
from messaging.service.backends import Backends
from messaging.service.conversations import list_conversations
from messaging.service.recall import recall as recall_message
from tests.integration.admin.pages import accept, consume, keep, recall, store
from tests.integration.scene import Scene
from tests.support.deletes import know_deletes
from tests.support.messages import FIRST_ID, make_message
from tests.support.own_topics import with_own_topics

CONVERSATION = "1_2"
# Returns the defect and the subject that the audit must tell.
Plant = Callable[[redis.Redis], tuple[str, str]]


@pytest.fixture
def client(configured: None, redis_url: str) -> redis.Redis:
    return redis.Redis.from_url(redis_url)


def audit(*arguments: object, fails: bool = False) -> dict[str, Any]:
    """Return the report of an audit, and check that it ends with 0, or with 1 if it `fails`."""
    out = StringIO()
    try:
        call_command("audit", "--json", "--settle", "0", *map(str, arguments), stdout=out)
        ended_with = 0
    except CommandError as error:
        ended_with = error.returncode
    assert ended_with == (1 if fails else 0)
    return dict(json.loads(out.getvalue()))


def told(report: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["kind"], name) for each in report["findings"] for name in each["examples"]]


def persisted(number: int = 1, **given: Any) -> Message:
    """Send a message through the cache and the log, and return its row."""
    message = make_message(number, **given)
    accept(message)
    wiring.run(lambda backends: append(backends, message))
    consume()
    return wiring.run(lambda backends: backends.store.get([message.id]))[message.id]


async def append(backends: Backends, message: Message) -> None:
    record = OutgoingRecord(message.conversation_id.encode(), encode_event(message))
    (position,) = await backends.log.append(backends.settings.topic, [record])
    await position


def load(*rows: Message) -> None:
    """Load the cached list of the rows' conversation, and mark the list complete."""

    async def fill(backends: Backends) -> None:
        token = await backends.cache.begin_fill(CONVERSATION)
        await backends.cache.fill(CONVERSATION, token, rows, floor=0, base=0)

    wiring.run(fill)


def show(*rows: Message) -> None:
    wiring.run(lambda backends: backends.cache.mark_stored(rows))


def rewrite(client: redis.Redis, message: Message) -> None:
    client.set(f"msg:detail:{message.id}", encode_message(message), keepttl=True)


def pending_mark_lost(client: redis.Redis) -> tuple[str, str]:
    message = make_message(1)
    accept(message)
    client.zrem("msg:pending", message.id)
    return "unaccounted", str(message.id)


def mark_missed(client: redis.Redis) -> tuple[str, str]:
    row = persisted()
    client.zadd("msg:pending", {str(row.id): row.send_time})
    return "still_pending", str(row.id)


def recalled_behind_the_cache(client: redis.Redis) -> tuple[str, str]:
    row = persisted()
    store(row.recalled(row.send_time + 1))
    return "recalled_shown", str(row.id)


def recalled_before_the_store(client: redis.Redis) -> tuple[str, str]:
    row = persisted()
    recall(row)
    return "recall_not_stored", str(row.id)


def cached_otherwise(client: redis.Redis) -> tuple[str, str]:
    row = persisted()
    text = client.get(f"msg:detail:{row.id}")
    assert isinstance(text, bytes)
    altered = text.replace(b'"content":"message 1"', b'"content":"other"')
    client.set(f"msg:detail:{row.id}", altered, keepttl=True)
    return "detail_differs", str(row.id)


def cached_as_pending(client: redis.Redis) -> tuple[str, str]:
    row = persisted()
    rewrite(client, make_message(1))
    return "detail_pending", str(row.id)


def mark_left(client: redis.Redis) -> tuple[str, str]:
    row = persisted()
    show(*store(row.recalled(row.send_time + 1)))
    client.set(f"msg:cancel:{row.id}", row.send_time + 1)
    return "mark_left", str(row.id)


def list_lacks(client: redis.Redis) -> tuple[str, str]:
    load(persisted(1), persisted(2))
    client.rpop(f"msg:conv:{CONVERSATION}")
    return "list_lacks", CONVERSATION


def list_orphan(client: redis.Redis) -> tuple[str, str]:
    load(persisted(1))
    client.lpush(f"msg:conv:{CONVERSATION}", make_message(7).id)
    return "list_orphan", CONVERSATION


def list_count(client: redis.Redis) -> tuple[str, str]:
    load(persisted(1))
    name = f"msg:conv:loaded:{CONVERSATION}"
    stamp, _, _ = client.get(name).decode().rpartition("/")
    client.set(name, f"{stamp}/0:3", keepttl=True)
    return "list_count", CONVERSATION


def pending_unlisted(client: redis.Redis) -> tuple[str, str]:
    message = make_message(first_id_at(wall_clock_ms()) - FIRST_ID)
    accept(message)
    client.delete(f"msg:conv:{CONVERSATION}")
    return "pending_unlisted", str(message.id)


def deletes_lack(client: redis.Redis) -> tuple[str, str]:
    row = persisted()
    wiring.run(lambda backends: backends.store.delete_for_user(2, [row.id], "1_2"))
    wiring.run(lambda backends: know_deletes(backends.cache, 2))
    return "deletes_lack", "user 2"


def list_behind(client: redis.Redis) -> tuple[str, str]:
    persisted()
    _have_listed(2)
    mark = Mark(user_id=2, conversation_id="1_2", read_seq=1)
    wiring.run(lambda backends: backends.conversations.mark([mark], now_ms=5))
    return "listing_behind", "user 2"


def unread_differs(client: redis.Redis) -> tuple[str, str]:
    persisted()
    _have_listed(2)
    client.hset("msg:unread:2", "1_2", "[1,0,0,7]")
    return "unread_differs", "user 2"


def _have_listed(user_id: int) -> None:
    request = ListRequest(size=20, after=None, includes_hidden=True)
    wiring.run(lambda backends: list_conversations(backends, request, reader_id=user_id))


def deletes_orphan(client: redis.Redis) -> tuple[str, str]:
    row = persisted()
    wiring.run(lambda backends: know_deletes(backends.cache, 2, [row.id]))
    return "deletes_orphan", "user 2"


def row_marked(client: redis.Redis) -> tuple[str, str]:
    row = persisted()
    models.Message.objects.update(persist_status=PersistStatus.PENDING.value)
    return "row_status", str(row.id)


def tombstone_speaks(client: redis.Redis) -> tuple[str, str]:
    row = persisted()
    show(*store(row.recalled(9)))
    models.Message.objects.update(content="still here")
    return "tombstone_speaks", str(row.id)


def key_missing(client: redis.Redis) -> tuple[str, str]:
    row = persisted(client_msg_id="a")
    models.MessageKey.objects.all().delete()
    return "key_missing", str(row.id)


def add_group(*roles: str) -> models.ChatGroup:
    """Add a group with a member of each role by the tables alone, and its participants."""
    group = models.ChatGroup.objects.create(name="group", member_count=len(roles))
    for number, role in enumerate(roles, start=1):
        user = User.objects.create(id=number, username=f"user {number}")
        models.ChatGroupMember.objects.create(group=group, user=user, role=role)
        models.Participant.objects.create(user_id=user.pk, conversation_id=f"g{group.pk}")
    return group


def miscounted(client: redis.Redis) -> tuple[str, str]:
    group = add_group("owner", "member")
    models.ChatGroup.objects.update(member_count=3)
    return "member_count", f"group {group.pk}"


def member_past_the_verbs(client: redis.Redis) -> tuple[str, str]:
    group = add_group("owner", "member")
    models.Participant.objects.filter(user_id=2).delete()
    return "participant_missing", f"user 2 in g{group.pk}"


def party_of_an_older_release(client: redis.Redis) -> tuple[str, str]:
    persisted()
    models.Participant.objects.filter(user_id=2).delete()
    return "participant_missing", "user 2 in 1_2"


def member_deleted_past_the_verbs(client: redis.Redis) -> tuple[str, str]:
    group = add_group("owner", "member")
    models.ChatGroupMember.objects.filter(user_id=2).delete()
    models.ChatGroup.objects.update(member_count=1)
    return "participant_left", f"user 2 in g{group.pk}"


@pytest.mark.parametrize(
    "plant",
    [
        miscounted,
        member_past_the_verbs,
        party_of_an_older_release,
        member_deleted_past_the_verbs,
        pending_mark_lost,
        mark_missed,
        recalled_behind_the_cache,
        recalled_before_the_store,
        cached_otherwise,
        cached_as_pending,
        mark_left,
        list_lacks,
        list_orphan,
        list_count,
        pending_unlisted,
        deletes_lack,
        deletes_orphan,
        list_behind,
        unread_differs,
        row_marked,
        tombstone_speaks,
        key_missing,
    ],
)
def test_what_is_wrong_is_told_then_mended_and_then_gone(client: redis.Redis, plant: Plant) -> None:
    expected = plant(client)

    assert told(audit(fails=True)) == [expected]
    assert told(audit("--repair")) == [expected]
    assert told(audit()) == []


def test_a_message_that_only_the_log_has_is_stored_again(
    client: redis.Redis, tmp_path: Path
) -> None:
    row = persisted(content="found again")
    models.Message.objects.all().delete()
    models.Conversation.objects.all().delete()
    client.delete(f"msg:detail:{row.id}", f"msg:conv:{CONVERSATION}")
    receipts = tmp_path / "receipts"
    receipts.write_text(f"{row.id}\n")

    assert told(audit()) == []  # no receipt or record names the row
    assert told(audit("--receipts", receipts, fails=True)) == [("unaccounted", str(row.id))]
    report = audit("--receipts", receipts, "--repair")

    assert report["accounted"]["receipts"] == {"persisted": 1}
    assert models.Message.objects.get().content == "found again"


def test_what_was_altered_or_numbered_wrongly_is_left_to_a_person(client: redis.Redis) -> None:
    row = persisted()
    client.delete(f"msg:detail:{row.id}")
    models.Message.objects.update(content="message ?", seq=7)

    for _ in range(2):
        assert told(audit("--repair", fails=True)) == [
            ("row_altered", str(row.id)),
            ("seq", CONVERSATION),
        ]


@pytest.mark.parametrize("roles", [("admin", "member"), ("owner", "owner")])
def test_a_group_without_one_owner_is_left_to_a_person(
    client: redis.Redis, roles: tuple[str, ...]
) -> None:
    group = add_group(*roles)

    for _ in range(2):
        assert told(audit("--repair", fails=True)) == [("owner", f"group {group.pk}")]

    models.ChatGroup.objects.update(state="DISSOLVED")
    assert told(audit()) == []


@pytest.mark.parametrize(
    "above", [{"floor_seq": 2}, {"floor_id": first_id_at(wall_clock_ms() + 3_600_000)}]
)
def test_a_floor_above_everything_is_left_to_a_person(
    client: redis.Redis, above: dict[str, int]
) -> None:
    persisted()
    models.Participant.objects.filter(user_id=1).update(**above)

    for _ in range(2):
        assert told(audit("--repair", fails=True)) == [("floor", "user 1 in 1_2")]


def test_a_dead_letter_accounts_for_its_message(client: redis.Redis) -> None:
    message = make_message(1)
    accept(message)
    keep(DeadLetter("t", 0, "1", b"", b"", "bad_data", "", message_id=message.id))

    assert audit()["accounted"]["pending set"] == {"dead letter": 1}


def test_what_waits_is_accounted_for_with_its_age_and_persisted_on_request(
    client: redis.Redis,
) -> None:
    accept(make_message(1))

    waiting = audit("--stuck", "0")
    assert waiting["accounted"]["pending set"] == {"pending": 1}
    assert waiting["pending"]["oldestAgeMs"] > 0
    assert told(waiting) == [("stuck", str(make_message(1).id))]
    # The message is of 2026.
    assert told(audit("--stuck", "86400")) == [("stuck", str(make_message(1).id))]

    audit("--repair")
    assert models.Message.objects.get().seq == 1


def test_it_says_what_a_person_is_to_do(client: redis.Redis) -> None:
    cached_otherwise(client)
    out = StringIO()

    with pytest.raises(CommandError, match="run it again with --repair"):
        call_command("audit", "--settle", "0", stdout=out)

    assert "detail_differs: 1 cached with another value than in the database" in out.getvalue()
    assert out.getvalue().splitlines()[-1] == "FAILED: 1 left: detail_differs."
    assert "message 1" not in out.getvalue()


@pytest.mark.parametrize(
    ("configured", "what"),
    [
        ({"redis_url": "redis://127.0.0.1:1/0"}, "CacheUnavailable"),
        ({"event_log_url": "redis://127.0.0.1:1/0"}, "LogUnavailable"),
    ],
    indirect=["configured"],
)
def test_without_one_of_the_services_nothing_is_said(configured: None, what: str) -> None:
    with pytest.raises(CommandError, match=what) as raised:
        call_command("audit", "--settle", "0")

    assert raised.value.returncode == 2


def test_receipts_that_cannot_be_read_are_told(configured: None, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file") as raised:
        call_command("audit", "--receipts", str(tmp_path / "none"))

    assert raised.value.returncode == 2


@pytest.fixture(params=["streams", pytest.param("kafka", marks=pytest.mark.connected)])
def log(request: pytest.FixtureRequest, configured: None, settings: Settings) -> None:
    """Open the service's log; on Kafka a topic of this test's own."""
    settings.IM = replace(settings.IM, send_rate=0)
    if request.param == "kafka":
        settings.IM = with_own_topics(settings.IM)


async def test_a_live_service_has_nothing_to_tell(log: None, scene: Scene) -> None:
    """Sends, repeats, recalls and reads go on while the service is audited, again and again."""
    alice, bob = next(scene.pairs)
    done = asyncio.Event()

    async def consume_all() -> None:
        while not done.is_set():
            await scene.consumer.step()

    async def talk(turn: int) -> None:
        sent = await scene.sent(alice, bob, f"turn {turn}", client_msg_id=f"turn {turn}")
        if turn % 5 == 0:
            await scene.history(bob, alice)
        if turn % 7 == 0:
            await scene.send(alice, bob, f"turn {turn}", client_msg_id=f"turn {turn}")
        if turn % 11 == 0:
            await recall_message(scene.backends, sent, user_id=alice)

    async def talk_on() -> None:
        turn = 0
        while not done.is_set():
            # A busy machine may refuse one of them, which a client would send again.
            talks = [talk(turn + n) for n in range(20)]
            told = await asyncio.gather(*talks, return_exceptions=True)
            assert all(each is None or isinstance(each, ApiError) for each in told)
            turn += 20

    busy = [asyncio.create_task(consume_all()), asyncio.create_task(talk_on())]
    parts = adapters.open_audit_backends()
    try:
        audits, logged = 0, Counter[Fate]()
        # On a busy machine more audits pass before enough is stored.
        while audits < 4 or logged[Fate.PERSISTED] <= 100 or not logged[Fate.RECALLED]:
            report = await Audit(
                parts, AuditPlan(settle_s=0.5, whole_log=True), Progress(StringIO())
            ).run()
            assert report.findings.kinds == {}
            audits, logged = audits + 1, report.fates["log"]
    finally:
        done.set()
        await asyncio.gather(*busy)
        await adapters.close_audit_backends(parts)


async def test_a_message_that_the_consumer_has_lost_is_found_in_the_log(
    log: None, scene: Scene
) -> None:
    alice, bob = next(scene.pairs)
    lost, kept = await scene.sent(alice, bob, "lost"), await scene.sent(alice, bob, "kept")
    await scene.persist()
    await asyncio.to_thread(models.Message.objects.filter(pk=lost).delete)
    parts = adapters.open_audit_backends()
    try:
        told = await Audit(parts, AuditPlan(settle_s=0, whole_log=True), Progress(StringIO())).run()
        assert told.findings.kinds[Defect.UNACCOUNTED].examples(9) == [str(lost)]
        await parts.cached.forget([lost])
        await Audit(
            parts, AuditPlan(settle_s=0, whole_log=True, repair=True), Progress(StringIO())
        ).run()
    finally:
        await adapters.close_audit_backends(parts)

    assert [row.content for row in await scene.rows(lost, kept)] == ["lost", "kept"]
