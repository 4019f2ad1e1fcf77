"""Test that clients on sync miss nothing while others write, recall and delete."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from messaging.terminal.model import Model
from tests.support.groups import create
from tests.support.service import Service, User

WRITERS, MESSAGES = 4, 20
WHOLE = 100  # more than the messages of one conversation


def sync_once(user: User, model: Model, **body: object) -> bool:
    answer = user.client.post("/api/sync", {"cursor": model.cursor} | body)
    assert answer.status == 200, answer.content
    model.apply(answer.data)
    return bool(answer.data["hasMore"])


def fill_gaps(user: User, model: Model) -> None:
    while model.gaps:
        name, (first, last) = model.gaps[0]
        query = {"conversationId": name, "fromSeq": first, "toSeq": last, "size": 9}
        page = user.client.get("/api/conversation/messages", **query)
        assert page.status == 200, page.content
        model.conversations[name].fill(page.data)


def history(user: User, name: str) -> list[Any]:
    target = {"targetId": name[1:], "chatType": 2}
    if not name.startswith("g"):
        (peer,) = set(name.split("_")) - {user.id}
        target = {"targetId": peer, "chatType": 1}
    page = user.client.get("/api/message/history", size=WHOLE, **target).data
    assert page["hasMore"] is False
    return list(reversed(page["list"]))


@contextmanager
def repeating(act: Callable[[], object]) -> Iterator[None]:
    """Repeat an act in a thread during the block."""
    is_over = threading.Event()

    def repeat() -> None:
        while not is_over.is_set():
            act()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(repeat)
        try:
            yield
        finally:
            is_over.set()
            done.result()


def test_nothing_is_missed_while_others_write(
    service: Service, alice: User, bob: User, carol: User
) -> None:
    group_id = create(alice, bob, carol)
    draw = random.Random(7)
    models = [(bob, "newest", Model()), (bob, "oldest", Model()), (carol, "newest", Model())]

    def write(number: int) -> None:
        writer = (alice, bob, carol)[number % 3]
        others = [user for user in (alice, bob, carol) if user is not writer]
        for turn in range(MESSAGES):
            if turn % 2:
                assert writer.send_to_group(group_id, f"{number}.{turn}").status == 200
            else:
                message_id = writer.sent(others[turn % 4 // 2], f"{number}.{turn}")
                if turn % 4 == 0:
                    assert writer.recall(message_id).status == 200
                elif turn % 3 == 0:
                    assert writer.delete(message_id).status == 200

    def look() -> None:
        user, order, model = draw.choice(models)
        sync_once(user, model, limit=draw.choice([1, 3, 100]), order=order)

    with (
        repeating(service.persist),
        repeating(look),
        ThreadPoolExecutor(WRITERS) as writers,
    ):
        list(writers.map(write, range(WRITERS)))
    service.persist()
    for user, order, model in models:
        while sync_once(user, model, limit=4, order=order):
            pass
        fill_gaps(user, model)
        known = {name: each.in_order for name, each in model.conversations.items()}
        assert f"g{group_id}" in known
        assert known == {name: history(user, name) for name in known}
