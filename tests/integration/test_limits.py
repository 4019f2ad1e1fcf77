"""Each limit of `docs/limits.md` that is counted here: at the limit, and one past it."""

from __future__ import annotations

from tests.integration.http_client import Answer
from tests.integration.service import Service, User, at_both_doors, with_settings

SLOW = 0.1  # a second: nothing comes back within a test


def statuses(answers: list[Answer]) -> list[int]:
    for answer in answers:
        if answer.status == 429:
            assert answer.code == 4290
            assert 5 <= int(answer.headers["retry-after"]) <= 10
    return [answer.status for answer in answers]


@at_both_doors()
@with_settings(read_rate=SLOW, read_burst=3)
def test_reads(service: Service, alice: User, bob: User) -> None:
    message_id = alice.sent(bob)
    answers = [alice.history(bob), alice.read(message_id), alice.client.get("/api/user/blocks")]
    answers += [alice.history(bob), alice.read(message_id), alice.client.get("/api/user/blocks")]
    assert statuses(answers)[:2] == [200, 200]
    assert statuses(answers)[3:] == [429, 429, 429]
    assert bob.read(message_id).status == 200
    assert alice.send(bob).status == 200


@at_both_doors()
@with_settings(change_rate=SLOW, change_burst=4)
def test_changes(service: Service, alice: User, bob: User) -> None:
    ids = [alice.sent(bob) for _ in range(2)]
    person = {"userId": bob.id}
    answers = [alice.recall(ids[0]), alice.delete(ids[1])]
    answers += [alice.client.post(f"/api/user/{what}", person) for what in ("block", "unblock")]
    assert statuses(answers) == [200] * 4
    answers = [alice.recall(ids[1]), alice.delete(ids[0])]
    answers += [alice.client.post(f"/api/user/{what}", person) for what in ("block", "unblock")]
    assert statuses(answers) == [429] * 4
    assert alice.read(ids[1]).status == 404
    assert bob.read(ids[1]).data["status"] == "NORMAL"
    assert bob.delete(ids[1]).status == 200


@at_both_doors()
@with_settings(lookup_rate=SLOW, lookup_burst=3)
def test_lookups(service: Service, alice: User, bob: User) -> None:
    assert alice.send(bob).status == 200
    nobody = [alice.send(User(str(10**12 + n), alice.client)) for n in range(4)]
    assert statuses(nobody) == [404, 404, 429, 429]
    assert statuses([alice.send_to_group("99")]) == [429]
    assert alice.send(bob).status == 200
