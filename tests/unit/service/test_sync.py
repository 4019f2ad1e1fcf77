"""Check what a call of sync tells a client, and how the client's cursor moves."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from messaging.domain.conversations import NEVER, Mark
from messaging.domain.errors import ConversationNotFound
from messaging.domain.groups import History
from messaging.domain.ids import group_conversation
from messaging.domain.message import ChatType, Status
from messaging.domain.sync_cursor import Cursor, Position, decode_position, encode_cursor
from messaging.service import groups, sync, sync_round, windows
from messaging.service.delete import delete
from messaging.service.group_rules import Actor
from messaging.service.marks import mark
from messaging.service.recall import recall
from messaging.service.send import send
from messaging.terminal.model import Model
from tests.support.memory import ALICE, BOB, MALLORY, to_bob, to_group
from tests.support.sync_site import SyncSite, chat

CHAT = chat(ALICE, BOB)
MOST_ANSWERS = 20  # of one round of these tests


@pytest.fixture
def site() -> SyncSite:
    return SyncSite()


async def say(site: SyncSite, count: int = 1, *, stored: bool = True) -> list[int]:
    """Send messages from alice to bob, and return their ids, oldest first."""
    ids = []
    for number in range(count):
        site.tick()
        receipt = await send(site.backends, to_bob(f"turn {number}"), sender_id=ALICE)
        ids.append(receipt.message_id)
    if stored:
        await site.service.consume()
    return ids


async def say_in(site: SyncSite, group_id: int, count: int = 1) -> list[int]:
    ids = []
    for number in range(count):
        site.tick()
        wanted = to_group(f"turn {number}", target_id=group_id)
        ids.append((await send(site.backends, wanted, sender_id=ALICE)).message_id)
    await site.service.consume()
    return ids


def told_of(answer: dict[str, Any], name: str = CHAT) -> dict[str, Any]:
    (told,) = [each for each in answer["conversations"] if each["conversationId"] == name]
    return dict(told)


def seqs(messages: list[dict[str, Any]]) -> list[int]:
    return [message["seq"] for message in messages]


async def test_a_first_call_tells_the_newest_and_names_the_gap(site: SyncSite) -> None:
    await say(site, 30)
    answer = await site.sync(BOB, limit=10)
    told = told_of(answer)
    assert seqs(told["messages"]) == list(range(21, 31))
    assert (told["covers"], told["gap"], told["changes"]) == ([21, 30], [1, 20], [])
    assert (answer["hasMore"], answer["partial"], told["reset"]) == (False, False, False)
    again = await site.sync(BOB, cursor=answer["cursor"])
    assert again["conversations"] == []
    assert again["cursor"] == answer["cursor"]


async def test_the_oldest_come_in_pages_without_a_gap(site: SyncSite) -> None:
    await say(site, 25)
    cursor, pages = None, []
    while True:
        answer = await site.sync(BOB, cursor=cursor, limit=10, order="oldest")
        told = told_of(answer)
        assert told["gap"] is None
        pages.append(told["covers"])
        cursor = answer["cursor"]
        if not answer["hasMore"]:
            break
    assert pages == [[1, 10], [11, 20], [21, 25]]


async def test_only_what_is_new_is_told(site: SyncSite) -> None:
    await say(site, 3)
    cursor = (await site.sync(BOB))["cursor"]
    await say(site, 2)
    told = told_of(await site.sync(BOB, cursor=cursor))
    assert (seqs(told["messages"]), told["covers"], told["gap"]) == ([4, 5], [4, 5], None)


async def test_a_span_fills_a_gap(site: SyncSite) -> None:
    await say(site, 30)
    model = Model(cursor=None)
    await site.catch_up(BOB, model, limit=4)
    known = model.conversations[CHAT].in_order
    assert seqs(known) == list(range(1, 31))  # type: ignore[arg-type]


async def test_pages_of_a_span(site: SyncSite) -> None:
    await say(site, 9)
    page = await site.span(BOB, CHAT, fromSeq=3, toSeq=8, size=4)
    assert (seqs(page["list"]), page["covers"], page["nextFromSeq"]) == ([3, 4, 5, 6], [3, 6], 7)
    page = await site.span(BOB, CHAT, fromSeq=7, toSeq=8, size=4)
    assert (seqs(page["list"]), page["covers"], page["nextFromSeq"]) == ([7, 8], [7, 8], None)
    page = await site.span(BOB, CHAT, fromSeq=10)
    assert (page["list"], page["covers"], page["nextFromSeq"]) == ([], None, None)
    page = await site.span(BOB, CHAT, fromSeq=8, size=2)
    assert (page["covers"], page["hasMore"]) == ([8, 9], False)


async def test_a_span_lacks_a_delete_of_which_the_cache_was_not_told(site: SyncSite) -> None:
    """Begin behind the number of a delete, whose process died before the cache knew."""
    ids = await say(site, 9)
    await site.whole_history(BOB, ChatType.PRIVATE, ALICE)  # the cache knows the deletes from here
    await delete(site.backends, ids[2], user_id=BOB)
    site.service.cache.deletes[BOB].discard(ids[2])
    model = Model()
    await site.catch_up(BOB, model, limit=2)
    known = model.conversations[CHAT].in_order
    assert seqs(known) == [1, 2, 4, 5, 6, 7, 8, 9]  # type: ignore[arg-type]


async def test_a_recall_is_a_change(site: SyncSite) -> None:
    first, *_ = await say(site, 3)
    cursor = (await site.sync(BOB))["cursor"]
    await recall(site.backends, first, user_id=ALICE)
    await site.service.consume()
    answer = await site.sync(BOB, cursor=cursor)
    told = told_of(answer)
    assert (told["messages"], told["covers"]) == ([], None)
    assert [(m["messageId"], m["status"]) for m in told["changes"]] == [(str(first), "RECALLED")]
    assert (await site.sync(BOB, cursor=answer["cursor"]))["conversations"] == []


async def test_a_change_of_a_new_message_is_told_with_the_message(site: SyncSite) -> None:
    await say(site, 2)
    cursor = (await site.sync(BOB))["cursor"]
    (third,) = await say(site)
    await recall(site.backends, third, user_id=ALICE)
    await site.service.consume()
    told = told_of(await site.sync(BOB, cursor=cursor))
    assert [m["status"] for m in told["messages"]] == ["RECALLED"]
    assert told["changes"] == []


async def test_a_delete_of_another_device_is_told(site: SyncSite) -> None:
    first, second, _ = await say(site, 3)
    cursor = (await site.sync(BOB))["cursor"]
    await delete(site.backends, second, user_id=BOB)
    told = told_of(await site.sync(BOB, cursor=cursor))
    assert told["deletedIds"] == [str(second)]
    fresh = told_of(await site.sync(BOB))
    assert (seqs(fresh["messages"]), fresh["covers"]) == ([1, 3], [1, 3])
    assert told_of(await site.sync(ALICE))["covers"] == [1, 3]
    assert first


async def test_a_pending_message_is_shown_and_not_covered(site: SyncSite) -> None:
    await say(site, 2)
    cursor = (await site.sync(BOB))["cursor"]
    (third,) = await say(site, stored=False)
    answer = await site.sync(BOB, cursor=cursor)
    told = told_of(answer)
    assert [m["messageId"] for m in told["pending"]] == [str(third)]
    assert (told["messages"], told["covers"], answer["hasMore"]) == ([], None, False)
    await site.service.consume()
    told = told_of(await site.sync(BOB, cursor=answer["cursor"]))
    assert (seqs(told["messages"]), told["pending"], told["covers"]) == ([3], [], [3, 3])


async def test_a_clear_is_told_and_hides_what_was_there(site: SyncSite) -> None:
    await say(site, 3)
    model = Model()
    await site.catch_up(BOB, model)
    await site.clear(BOB, CHAT)
    site.tick(1_000)
    await site.catch_up(BOB, model)
    assert model.conversations[CHAT].in_order == []
    await say(site)
    await site.catch_up(BOB, model)
    assert seqs(model.conversations[CHAT].in_order) == [4]  # type: ignore[arg-type]
    assert seqs(told_of(await site.sync(BOB))["messages"]) == [4]


async def test_what_a_user_has_left_is_told_once(site: SyncSite) -> None:
    group_id = await site.create_group(ALICE, BOB, history=History.ALL)
    name = group_conversation(group_id)
    await say_in(site, group_id, 2)
    model = Model()
    await site.catch_up(BOB, model)
    before = len(model.conversations[name].in_order)
    fields = list(told_of(await site.sync(BOB), name))
    await groups.leave(site.backends, group_id, actor=Actor(user_id=BOB))
    await site.service.consume()
    answer = await site.sync(BOB, cursor=model.cursor)
    assert told_of(answer, name)["left"] == "left"
    assert list(told_of(answer, name)) == fields
    assert (await site.sync(BOB, cursor=answer["cursor"]))["conversations"] == []
    assert (await site.sync(BOB))["conversations"] == []
    model.apply(answer)
    assert name not in model.conversations
    await groups.invite(site.backends, group_id, [BOB], actor=Actor(user_id=ALICE))
    await site.catch_up(BOB, model)
    assert len(model.conversations[name].in_order) > before


async def test_a_position_that_cannot_be_is_reset(site: SyncSite) -> None:
    await say(site, 3)
    other = SyncSite()
    await say(other, 9)
    position = told_of(await other.sync(BOB))["position"]
    told = told_of(await site.sync(BOB, positions={CHAT: position}))
    assert (told["reset"], seqs(told["messages"]), told["covers"]) == (True, [1, 2, 3], [1, 3])


async def test_a_position_counts_in_place_of_the_cursor(site: SyncSite) -> None:
    await say(site, 3)
    answer = await site.sync(BOB)
    await say(site, 3)
    ahead = told_of(await site.sync(BOB))["position"]
    body = {"cursor": answer["cursor"], "positions": {CHAT: ahead}}
    assert (await site.sync(BOB, **body))["conversations"] == []


async def test_large_messages_end_an_answer(site: SyncSite) -> None:
    for order in ("newest", "oldest"):
        fresh = SyncSite()
        for number in range(60):
            fresh.tick()
            await send(fresh.backends, to_bob(f"{number:3}" + "汉" * 4_900), sender_id=ALICE)
        await fresh.service.consume()
        told = told_of(await fresh.sync(BOB, limit=100, order=order))
        assert 25 < len(told["messages"]) < 40
        model = Model()
        await fresh.catch_up(BOB, model, limit=100, order=order)
        assert seqs(model.conversations[CHAT].in_order) == list(range(1, 61))  # type: ignore[arg-type]


async def test_an_outsider_is_told_nothing(site: SyncSite) -> None:
    await say(site, 3)
    cursor = (await site.sync(BOB))["cursor"]
    assert (await site.sync(MALLORY, cursor=cursor))["conversations"] == []


async def test_the_store_is_away(site: SyncSite) -> None:
    await say(site, 3)
    answer = await site.sync(BOB)
    await say(site, 2, stored=False)
    site.service.store.down = True
    without = await site.sync(BOB, cursor=answer["cursor"])
    told = told_of(without)
    assert len(told["pending"]) == 2
    site.service.store.down = False
    await site.service.consume()
    model = Model()
    model.apply(answer)
    model.apply(without)
    await site.catch_up(BOB, model)
    assert model.conversations[CHAT].in_order == await site.whole_history(
        BOB, ChatType.PRIVATE, ALICE
    )


@pytest.mark.parametrize("order", ["newest", "oldest"])
async def test_a_client_that_begins_is_told_no_state_from_before_a_known_change(
    site: SyncSite, order: str
) -> None:
    """Hold back the cache between the store's tombstone and the cache's.

    The client's position is behind the change's number from the first call on, so nothing would
    ever tell the client of the change.
    """
    *_, last = await say(site, 5)
    details = site.service.cache.details
    before = details[last]
    await recall(site.backends, last, user_id=ALICE)
    await site.service.consume()
    site.service.cache.listings.clear()
    site.service.cache.heads.clear()
    model = Model()
    while True:
        details[last] = before
        answer = await site.sync(BOB, cursor=model.cursor, limit=2, order=order)
        model.apply(answer)
        if not answer["hasMore"]:
            break
    assert model.conversations[CHAT].messages[str(last)]["status"] == "RECALLED"


async def test_a_recall_that_the_cache_alone_has_is_shown(site: SyncSite) -> None:
    """Read a span in the store, whose row is behind the cache."""
    first, *_ = await say(site, 3)
    await recall(site.backends, first, user_id=ALICE)
    row = site.service.store.rows[first]
    site.service.store.rows[first] = replace(row, status=Status.NORMAL, recall_time=None)
    page = await site.span(BOB, CHAT, fromSeq=1)
    assert [m["status"] for m in page["list"]] == ["RECALLED", "NORMAL", "NORMAL"]


async def test_the_other_party_is_not_told_where_receipts_are_hidden(site: SyncSite) -> None:
    await say(site, 2)
    seat = [Mark(user_id=BOB, conversation_id=CHAT, read_seq=2)]
    for hiding, shown in ((ALICE, None), (None, {"readSeq": 2, "deliveredSeq": 2})):
        site.directory.shown_from = {hiding: NEVER} if hiding else {}
        answer = await site.sync(ALICE)
        await mark(site.backends, seat, user_id=BOB)
        told = (await site.sync(ALICE, cursor=answer["cursor"]))["conversations"]
        assert told == [] if hiding else told_of(await site.sync(ALICE))["peer"] == shown
        position = told_of(await site.sync(ALICE))["position"]
        numbers = decode_position(position)
        assert (numbers.peer_read, numbers.peer_delivered) == ((0, 0) if hiding else (2, 2))


async def test_a_cursor_marks_what_was_delivered(site: SyncSite) -> None:
    await say(site, 2)
    cursor = (await site.sync(BOB))["cursor"]
    participants = site.service.store.participants
    assert participants[BOB, CHAT].delivered_seq == 0
    participants[BOB, CHAT] = replace(participants[BOB, CHAT], is_marked_unread=True)
    await site.sync(BOB, cursor=cursor)
    await site.backends.marks.close()
    assert participants[BOB, CHAT].delivered_seq == 2
    assert participants[BOB, CHAT].is_marked_unread
    assert told_of(await site.sync(ALICE))["peer"] == {"readSeq": 0, "deliveredSeq": 2}


async def test_many_changes_and_deletes_take_several_answers(
    site: SyncSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "MAX_SYNCED_CHANGES", 2)
    monkeypatch.setattr(windows, "MAX_SYNCED_DELETES", 2)
    ids = await say(site, 10)
    cursor = (await site.sync(BOB))["cursor"]
    for message_id in ids[:5]:
        await recall(site.backends, message_id, user_id=ALICE)
    for message_id in ids[5:]:
        await delete(site.backends, message_id, user_id=BOB)
    await site.service.consume()
    changed: list[str] = []
    deleted: list[str] = []
    for number in range(3):
        answer = await site.sync(BOB, cursor=cursor)
        assert answer["hasMore"] is (number < 2)
        told = told_of(answer)
        changed += [m["messageId"] for m in told["changes"]]
        deleted += told["deletedIds"]
        cursor = answer["cursor"]
    assert changed == [str(message_id) for message_id in ids[:5]]
    assert deleted == [str(message_id) for message_id in ids[5:]]


@pytest.mark.parametrize("is_told", [True, False], ids=["told", "not-told"])
async def test_a_removed_member_whose_list_is_old_is_told_nothing(
    site: SyncSite, is_told: bool
) -> None:
    """Read the list before the member goes, and the messages after.

    A process that was not told of the removal remembers the member, and heeds the guard.
    """
    group_id = await site.create_group(ALICE, BOB)
    await say_in(site, group_id, 3)
    listings = site.service.cache.listings
    await site.sync(BOB)
    old = listings[BOB]
    if not is_told:
        site.directory.take = lambda changes: None  # type: ignore[method-assign]
    await groups.remove(site.backends, group_id, [BOB], bans=False, actor=Actor(user_id=ALICE))
    listings[BOB] = old
    with pytest.raises(ConversationNotFound):
        await site.span(BOB, group_conversation(group_id), fromSeq=1)
    assert (await site.sync(BOB))["conversations"] == []


async def test_a_busy_conversation_starves_no_quiet_one(site: SyncSite) -> None:
    await say(site, 40)
    await send(site.backends, to_bob("quiet", target_id=MALLORY), sender_id=ALICE)
    await say(site, 10)
    cursor, named = None, []
    for _ in range(12):
        answer = await site.sync(ALICE, cursor=cursor, limit=5, order="oldest")
        named += [told["conversationId"] for told in answer["conversations"]]
        cursor = answer["cursor"]
        await say(site, 10)
    assert chat(ALICE, MALLORY) in named


async def test_an_answer_says_so_while_the_cache_is_away(site: SyncSite) -> None:
    await say(site, 3)
    site.service.cache.down = True
    answer = await site.sync(BOB)
    assert (answer["partial"], seqs(told_of(answer)["messages"])) == (True, [1, 2, 3])


async def test_a_store_that_was_put_back_moves_no_position(site: SyncSite) -> None:
    *_, last = await say(site, 5)
    cursor = (await site.sync(BOB))["cursor"]
    (lost,) = await say(site)
    tables, cache = site.service.store, site.service.cache
    del tables.rows[lost]
    del cache.details[lost]
    answer = await site.sync(BOB, cursor=cursor)
    told = told_of(answer)
    assert (told["messages"], told["covers"], told["gap"]) == ([], None, None)
    assert (answer["partial"], answer["hasMore"], answer["cursor"]) == (True, False, cursor)
    assert last


async def followed(site: SyncSite, model: Model, **body: object) -> list[dict[str, Any]]:
    """Return the answers until nothing more is to be asked for, none of which stands still."""
    answers: list[dict[str, Any]] = []
    while not answers or answers[-1]["hasMore"]:
        assert len(answers) < MOST_ANSWERS
        before = model.cursor
        answers.append(await site.sync(BOB, cursor=before, **body))
        model.apply(answers[-1])
        assert not (answers[-1]["hasMore"] and model.cursor == before)
    return answers


async def say_to(site: SyncSite, sender: int, count: int) -> None:
    for number in range(count):
        site.tick()
        await send(site.backends, to_bob(f"{number}"), sender_id=sender)
    await site.service.consume()


async def test_a_page_that_cannot_be_read_holds_up_no_other_conversation(site: SyncSite) -> None:
    model = Model()
    await say_to(site, MALLORY, 1)
    await say(site)
    await followed(site, model)
    await say_to(site, MALLORY, 2)
    await say(site, 60)
    await site.backends.marks.close()
    await list_of(site)
    known = dict(model.conversations)
    site.service.store.down = True
    for _ in range(2):
        answers = await followed(site, model, order="oldest", limit=10)
        assert [answer["partial"] for answer in answers] == [True, True]
    assert seqs(model.conversations[chat(BOB, MALLORY)].in_order) == [1, 2, 3]  # type: ignore[arg-type]
    assert seqs(known[CHAT].in_order) == [1]  # type: ignore[arg-type]
    site.service.store.down = False
    answers = await followed(site, model, order="oldest", limit=10)
    assert not answers[-1]["partial"]
    assert seqs(model.conversations[CHAT].in_order) == list(range(1, 62))  # type: ignore[arg-type]


async def list_of(site: SyncSite) -> None:
    """Let the cache know the list of bob, so that a call needs no database for it."""
    await site.sync(BOB)


@pytest.mark.parametrize("is_away", [True, False], ids=["unknown", "without-a-row"])
async def test_a_group_whose_membership_is_not_known_is_passed(
    site: SyncSite, is_away: bool
) -> None:
    group_id = await site.create_group(ALICE, BOB)
    model = Model()
    await say(site)
    await followed(site, model)
    await say(site, 2)
    await say_in(site, group_id, 60)
    await list_of(site)
    site.directory.forget_groups()
    site.service.store.down = is_away
    if not is_away:
        del site.service.groups.group_members[group_id, BOB]
    answers = await followed(site, model, order="oldest", limit=10)
    assert seqs(model.conversations[CHAT].in_order) == [1, 2, 3]  # type: ignore[arg-type]
    assert [answer["partial"] for answer in answers] == [True, True]


async def test_a_round_that_lacks_something_begins_no_other_one(
    site: SyncSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hold the changes of more conversations than one answer tells in the store that is away."""
    monkeypatch.setattr(sync_round, "MAX_SYNCED_CONVERSATIONS", 2)
    recalled = []
    for _ in range(3):
        site.tick(1_000)
        group_id = await site.create_group(ALICE, BOB)
        recalled += await say_in(site, group_id)
    model = Model()
    await followed(site, model)
    for message_id in recalled:
        await recall(site.backends, message_id, user_id=ALICE)
    await site.service.consume()
    await list_of(site)
    site.service.store.down = True
    for _ in range(2):
        answers = await followed(site, model)
        assert [len(answer["conversations"]) for answer in answers] == [2, 1]
        assert answers[-1]["partial"]
    site.service.store.down = False
    answers = await followed(site, model)
    assert sum(len(told["changes"]) for a in answers for told in a["conversations"]) == 3


async def test_nobody_is_asked_of_other_parties_that_no_call_tells_of(
    site: SyncSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Move the other parties of more private chats than one answer tells of."""
    monkeypatch.setattr(sync_round, "MAX_SYNCED_CONVERSATIONS", 2)
    peers = list(range(100, 105))
    site.directory.users.update(peers)
    for peer in peers:
        site.tick()
        await send(site.backends, to_bob("turn", target_id=peer), sender_id=BOB)
    await site.service.consume()
    model = Model()
    await followed(site, model)
    for peer in peers:
        seat = [Mark(user_id=peer, conversation_id=chat(BOB, peer), read_seq=1)]
        await mark(site.backends, seat, user_id=peer)
    site.directory.shown_from = dict.fromkeys(peers[1:], NEVER)
    asked: list[int] = []
    known: dict[int, int] = {}
    receipts_from = site.directory.receipts_from

    async def ask(user_id: int) -> int:
        asked.append(user_id)
        known[user_id] = await receipts_from(user_id)
        return known[user_id]

    monkeypatch.setattr(site.directory, "receipts_from", ask)
    monkeypatch.setattr(site.directory, "known_receipts_from", known.get)
    told, new = [], []
    for _ in range(2):
        for _ in range(MOST_ANSWERS):
            before = len(asked)
            answer = await site.sync(BOB, cursor=model.cursor)
            model.apply(answer)
            told += [each["conversationId"] for each in answer["conversations"]]
            new.append(len(asked) - before)
            if not answer["hasMore"]:
                break
    assert told == [chat(BOB, peers[0])]
    assert (max(new), new[-1]) == (3, 0)  # bob, and so many as one answer tells of


async def test_one_call_marks_so_many_as_delivered(
    site: SyncSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "MAX_RECEIPTS", 1)
    await say(site)
    await say_to(site, MALLORY, 1)
    cursor = (await site.sync(BOB))["cursor"]
    participants = site.service.store.participants
    for count in (1, 2):
        await site.sync(BOB, cursor=cursor)
        await site.backends.marks.close()
        names = (CHAT, chat(BOB, MALLORY))
        assert sum(participants[BOB, name].delivered_seq for name in names) == count


async def test_a_call_costs_as_its_cursor_and_its_answer_do(
    site: SyncSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "READ_BYTES", 10**9)
    charged: list[int] = []
    site.backends.rates.reads.charge = (  # type: ignore[method-assign]
        lambda key, count: charged.append(count)
    )
    for _ in range(11):
        await site.create_group(ALICE, BOB)
    answer = await site.sync(BOB)
    assert (len(answer["conversations"]), sum(charged)) == (11, 1)
    charged.clear()
    known = Cursor({group_conversation(number): Position() for number in range(1_000, 1_250)})
    await site.sync(MALLORY, cursor=encode_cursor(known, own_id=MALLORY))
    assert sum(charged) == 2
