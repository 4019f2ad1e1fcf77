"""Test each limit of `docs/limits.md` that can be counted here: at the limit, and one past it."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network

import pytest
from django.contrib.auth import get_user_model
from django.test import Client as Browser
from pytest_django import Settings

from messaging.limits import MAX_PAGE_BYTES
from tests.support.http_client import Answer
from tests.support.service import (
    PASSWORD,
    Service,
    User,
    at_both_doors,
    listed,
    with_settings,
)

SLOW = 0.1  # a second: no token comes back within a test
SLOW_PER_MINUTE, SLOW_PER_HOUR = 60 * SLOW, 3_600 * SLOW
LOGINS = ["/api/user/login", "/api/token/"]
behind_a_proxy = {"trusted_proxies": (ip_network("127.0.0.1"),)}


def statuses(answers: list[Answer]) -> list[int]:
    for answer in answers:
        if answer.status == 429:
            assert answer.code == 4290
            assert 5 <= int(answer.headers["retry-after"]) <= 10
    return [answer.status for answer in answers]


@at_both_doors()
@pytest.mark.parametrize("group", [False, True])
@with_settings(send_rate=SLOW, send_burst=2)
def test_sends(service: Service, alice: User, bob: User, group: bool) -> None:
    """The limit holds up one sender, and no other."""
    group_id = service.make_group(alice, bob)

    def send(sender: User, receiver: User) -> Answer:
        return sender.send_to_group(group_id) if group else sender.send(receiver)

    answers = [send(alice, bob) for _ in range(3)]
    assert statuses(answers) == [200, 200, 429]
    assert answers[2].data is None
    assert send(bob, alice).status == 200
    page = bob.group_history(group_id) if group else bob.history(alice)
    assert len(listed(page)) == 3


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
@with_settings(read_rate=SLOW, read_burst=6)
def test_a_large_page_counts_as_many_reads(service: Service, alice: User, bob: User) -> None:
    for _ in range(5):
        alice.sent(bob, content="\U0001f600" * 4_096)
    assert [alice.history(bob).status for _ in range(2)] == [200, 429]
    assert bob.history(alice).status == 200


@at_both_doors()
@with_settings(stranger_rate=SLOW, stranger_burst=5)
def test_what_strangers_ask_of_django(service: Service, alice: User) -> None:
    """The two users of the service were registered before."""
    asked = [service.anybody.post("/api/user/login", {}) for _ in range(5)]
    assert [answer.status for answer in asked[:1]] == [400]
    assert statuses(asked[-1:]) == [429]
    assert service.anybody.get("/admin/login/").status == 429
    assert alice.client.get("/api/user/blocks").status == 200
    assert service.anybody.get("/api/health").status == 200


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


def log_in(
    service: Service,
    name: str,
    *,
    address: str = "192.0.2.1",
    password: str = PASSWORD,
    path: str = LOGINS[0],
) -> Answer:
    body = {"username": name, "password": password}
    return service.anybody.post(path, body, headers={"X-Forwarded-For": address})


@with_settings(login_pair_per_minute=SLOW_PER_MINUTE, login_pair_burst=3, **behind_a_proxy)
@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_passwords_of_a_name_from_an_address(service: Service, alice: User, name: str) -> None:
    """Names that exist and names that do not are answered alike, right password or wrong."""
    wrong = [log_in(service, name, path=LOGINS[n % 2], password="wrong") for n in range(4)]
    assert statuses(wrong) == [401, 401, 401, 429]
    assert statuses([log_in(service, spelling) for spelling in (name, "ａlice")])[0] == 429
    assert log_in(service, "alice", address="192.0.2.2").status == 200


@with_settings(login_name_per_minute=SLOW_PER_MINUTE, login_name_burst=3, **behind_a_proxy)
@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_passwords_of_a_name_from_everywhere(service: Service, alice: User, name: str) -> None:
    many = [log_in(service, name, address=f"192.0.2.{n}", password="wrong") for n in range(4)]
    assert statuses(many) == [401, 401, 401, 429]
    assert log_in(service, "somebody else").status == 401


@with_settings(login_address_per_minute=SLOW_PER_MINUTE, login_address_burst=3, **behind_a_proxy)
def test_passwords_from_an_address(service: Service, alice: User) -> None:
    many = [log_in(service, f"name{n}", path=LOGINS[n % 2]) for n in range(4)]
    assert statuses(many) == [401, 401, 401, 429]
    assert statuses([log_in(service, "alice")]) == [429]
    assert log_in(service, "alice", address="192.0.2.2").status == 200


@with_settings(register_per_hour=SLOW_PER_HOUR, register_burst=3, **behind_a_proxy)
def test_registrations_from_an_address(service: Service) -> None:
    def register(name: str, address: str = "192.0.2.1", password: str = PASSWORD) -> Answer:
        body = {"username": name, "password": password}
        headers = {"X-Forwarded-For": address}
        return service.anybody.post("/api/user/register", body, headers=headers)

    assert register("dave", password="short").status == 400  # and does not count as a registration
    many = [register(name) for name in ("dave", "dave", "erin", "frank")]
    assert statuses(many) == [200, 409, 200, 429]
    assert register("frank", "192.0.2.2").status == 200


@with_settings(
    login_pair_per_minute=SLOW_PER_MINUTE, login_pair_burst=3, redis_url="redis://127.0.0.1:1/0"
)
def test_passwords_are_counted_by_the_process_while_redis_is_away(
    service: Service, alice: User
) -> None:
    many = [log_in(service, "alice", password="wrong") for _ in range(4)]
    assert statuses(many) == [401, 401, 401, 429]


@pytest.mark.alone
@with_settings(hash_queue=2, **behind_a_proxy)
def test_a_storm_of_guesses_is_refused_and_an_honest_login_gets_through(
    service: Service, settings: Settings
) -> None:
    """One address makes 64 guesses at once, under as many names."""
    settings.PASSWORD_HASHERS = ["messaging.hashing.PlacedHasher"]
    service.register("alice")
    with ThreadPoolExecutor(66) as many:
        guesses = [many.submit(log_in, service, f"nobody{n}") for n in range(64)]
        honest = many.submit(log_in_until_it_works, service)
        seen = Counter(guess.result().status for guess in guesses)
    assert honest.result()
    assert set(seen) == {401, 429}
    assert seen[401] <= 8  # 64 hashes would take half a minute


def log_in_until_it_works(service: Service) -> bool:
    """Log in, waiting as told before each new try; tell whether one of a few tries worked."""
    for _ in range(5):
        answer = log_in(service, "alice", address="192.0.2.2")
        if answer.status == 200:
            return True
        assert answer.status == 429
        time.sleep(int(answer.headers["retry-after"]))
    return False


@with_settings(login_name_per_minute=SLOW_PER_MINUTE, login_name_burst=1)
def test_the_admins_login_is_refused_with_a_page(configured: None) -> None:
    get_user_model().objects.create_superuser("root", password=PASSWORD)
    browser = Browser()
    asked = {"username": "root", "password": "wrong"}
    assert browser.post("/admin/login/", asked).status_code == 200  # the form is shown again
    page = browser.post("/admin/login/", asked | {"password": PASSWORD})
    assert page.status_code == 429
    assert 5 <= int(page["Retry-After"]) <= 10
    assert "Too many requests" in page.content.decode()
    assert browser.get("/admin/").status_code == 302  # the user is not logged in


@at_both_doors()
def test_the_bytes_of_a_page(service: Service, alice: User, bob: User) -> None:
    """A page of the largest messages ends early and goes on by the cursor; small ones never do."""
    large = "\U0001f600" * 4_096
    ids = [alice.sent(bob, large) for _ in range(34)][::-1]
    first = alice.history(bob, size=34)
    assert listed(first) == ids[:31]
    assert first.data["hasMore"]
    assert first.data["nextBeforeId"] == ids[30]
    assert len(first.content) <= MAX_PAGE_BYTES + 1_024
    second = alice.history(bob, size=34, beforeId=ids[30])
    assert listed(second) == ids[31:]
    assert not second.data["hasMore"]
    assert listed(alice.history(bob, size=30, page=2)) == ids[30:]
