"""Plant texts, tokens and passwords in a running site, and look for them in what operators read."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from messaging.domain.events import encode_event
from messaging.domain.ids import first_id_at, under_id, wall_clock_ms
from messaging.ports.log import OutgoingRecord
from tests.support.http_client import Client
from tests.support.messages import make_message
from tests.support.operations import (
    TRACE,
    Visitor,
    logged_in,
    of_addresses,
    of_commands,
    of_files,
    of_pages,
)
from tests.support.processes import frozen, wait_until
from tests.support.service import User
from tests.support.site import Site

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1_200)]

LIMIT_S = 180
TEXT, PASSWORD, WRONG = (f"canary-{secrets.token_hex(12)}" for _ in range(3))
PERMISSIONS: Mapping[str, tuple[str, ...] | None] = {
    "staff": (),
    "reader": ("view_message",),
    "watcher": ("view_operations",),
    "operator": None,  # those of the group
    "root": None,
}


@dataclass(frozen=True, slots=True)
class Planted:
    """Hold the site, the messages by their fates, the visitors, and the secrets by their names."""

    site: Site
    messages: Mapping[str, str]
    staff: Mapping[str, Visitor]
    secrets: Mapping[str, str]

    @property
    def ids(self) -> list[str]:
        return list(self.messages.values())

    def pages(self) -> Iterator[tuple[str, int, str]]:
        """Yield the name, the status and the text of each page, as each of the staff sees it."""
        for name, visitor in self.staff.items():
            for page, status, text in of_pages(visitor, self.ids):
                yield f"{name} {page}", status, text

    def check(self, outputs: Iterable[tuple[str, str]]) -> None:
        """Check that none of these named outputs holds a secret; tell the names alone."""
        shown = [
            (output, name)
            for output, text in outputs
            for name, secret in self.secrets.items()
            if secret in text
        ]
        assert not shown, "\n".join(" shows ".join(each) for each in shown)


def register(site: Site) -> tuple[User, dict[str, str]]:
    """Register a user with the planted password; return the user, and every token of theirs."""
    credentials = {"username": f"user-{secrets.token_hex(8)}", "password": PASSWORD}
    registered = site.anybody.post("/api/user/register", credentials).data
    tokens = site.anybody.post("/api/user/login", credentials).data
    renewed = site.anybody.post("/api/token/refresh/", {"refresh": tokens["refresh"]}).data
    assert site.anybody.post("/api/user/login", credentials | {"password": WRONG}).status == 401
    named = {
        "the token of the registration": registered["token"],
        "the token of the login": tokens["token"],
        "the refresh token": tokens["refresh"],
        "the renewed token": renewed["access"],
    }
    client: Client = replace(site.anybody, token=tokens["token"])
    # The signature is the part of a token that nobody can guess.
    return User(tokens["userId"], client), {k: v.rpartition(".")[2] for k, v in named.items()}


def keys_of(site: Site) -> dict[str, str]:
    """Return the keys of the site, and the passwords in its addresses."""
    var_dir = Path(site.service.environment["VAR_DIR"])
    found = {name: (var_dir / name).read_text().strip() for name in ("im_secret_key", "im_jwt_key")}
    for name, value in site.service.environment.items():
        if name.endswith("_URL") and (password := urlsplit(value).password):
            found[f"the password in {name}"] = unquote(password)
    return found


def staff_of(site: Site) -> dict[str, Visitor]:
    """Make a user of each level of permissions, and log each of them in."""
    names = {level: f"{level}-{secrets.token_hex(4)}" for level in PERMISSIONS}
    given = {names[level]: listed for level, listed in PERMISSIONS.items()}
    site.manage(
        "shell",
        "--command",
        "from django.contrib.auth.hashers import make_password\n"
        "from django.contrib.auth.models import Group, Permission, User\n"
        f"hashed = make_password({PASSWORD!r})\n"  # once: a hash takes long
        f"for name, listed in {given!r}.items():\n"
        "    user = User.objects.create(username=name, password=hashed, is_staff=True,\n"
        "        is_superuser=name.startswith('root'))\n"
        "    permissions = Permission.objects.filter(content_type__app_label='messaging')\n"
        "    user.user_permissions.set(permissions.filter(codename__in=listed or ()))\n"
        "    if listed is None:\n"
        "        user.groups.add(Group.objects.get(name='operators'))\n",
    )
    return {level: logged_in(site, name, PASSWORD) for level, name in names.items()}


def dead_letter(site: Site, sender: User) -> str:
    """Let the consumer keep two records that it cannot store; return the id of the one message."""
    before = site.log.count("dead_letter.kept")
    too_long = make_message(0, content=f"{TEXT} " * 500, from_user_id=int(sender.id))
    too_long = under_id(too_long, first_id_at(wall_clock_ms()))
    for value in (encode_event(too_long), f'{{"content": "{TEXT}"'.encode()):
        site.append(OutgoingRecord(too_long.conversation_id.encode(), value))
    wait_until(
        lambda: site.log.count("dead_letter.kept") == before + 2,
        limit_s=LIMIT_S,
        what="the dead letters are kept",
    )
    return str(too_long.id)


@pytest.fixture(scope="module")
def planted(site: Site) -> Iterator[Planted]:
    """Plant a stored, a dead-lettered and a pending message; nothing stores during the tests."""
    alice, tokens = register(site)
    bob = site.register()
    stored = alice.sent(bob, TEXT, clientMsgId=TEXT)
    site.await_stored(bob, stored)
    letter = dead_letter(site, alice)
    staff = staff_of(site)
    sessions = {f"the session of {k}": v.cookies["sessionid"] for k, v in staff.items()}
    with site.without("worker"), site.without("consumer"):
        pending = alice.sent(bob, TEXT, clientMsgId=f"{TEXT}-2")
        for each in (stored, pending):
            assert bob.read(each).data["content"] == TEXT
        yield Planted(
            site,
            {"persisted": stored, "dead letter": letter, "pending": pending},
            staff,
            {"a text": TEXT, "a password": PASSWORD, "a wrong password": WRONG}
            | (tokens | sessions | keys_of(site)),
        )


def test_no_command_tells_a_secret(planted: Planted) -> None:
    told = of_commands(planted.site, planted.ids)
    planted.check(told.items())
    for fate, message_id in planted.messages.items():
        (trace,) = json.loads(told[f"trace {message_id} --json"])
        assert trace["fate"] == fate
    assert '"state"' in told["doctor --json"]
    assert planted.messages["dead letter"] in told["dead_letters list"]
    assert "pending set" in told["audit --whole-log --settle 0"]
    assert all(text.strip() for text in told.values())


def test_no_command_tells_a_secret_of_what_is_away_or_refuses(planted: Planted) -> None:
    """Passwords are in the addresses, and errors of clients like to quote addresses."""
    ids, url = planted.ids[:1], planted.site.service.environment["IM_REDIS_URL"]
    port = urlsplit(url).port
    away = {
        "IM_REDIS_URL": f"redis://im:{PASSWORD}@127.0.0.1:1/0",
        "IM_CELERY_BROKER_URL": f"redis://im:{PASSWORD}@127.0.0.1:1/1",
        "IM_EVENT_LOG_URL": f"redis://im:{PASSWORD}@127.0.0.1:1/0",
        "IM_DATABASE_URL": f"mysql://im:{PASSWORD}@127.0.0.1:1/im",
        "IM_SITE_URL": "http://127.0.0.1:1",
        "IM_EXPORTER_URL": "http://127.0.0.1:1",
    }
    refused = {"IM_REDIS_URL": f"redis://im:{WRONG}@127.0.0.1:{port}/0"}
    for variables in (away, refused):
        told = of_commands(planted.site, ids, **variables)
        assert "FAIL" in told["doctor"] and "Redis" in told[f"trace {ids[0]}"]
        planted.check(told.items())


def test_no_page_tells_a_secret(planted: Planted) -> None:
    pages = list(planted.pages())
    statuses: dict[tuple[str, bool], set[int]] = {}
    for name, status, _ in pages:
        key = (name.split()[0], TRACE in name)
        statuses.setdefault(key, set()).add(status)
    assert statuses == {
        ("staff", False): {403},
        ("staff", True): {403},
        ("reader", False): {403},
        ("reader", True): {200},
        ("watcher", False): {200},
        ("watcher", True): {403},
        ("operator", False): {200},
        ("operator", True): {200},
        ("root", False): {200},
        ("root", True): {200},
    }
    planted.check((name, text) for name, _, text in pages)


def test_no_address_and_no_file_tells_a_secret(planted: Planted) -> None:
    told = dict(of_addresses(planted.site))
    assert "im_sends_total" in told["exporter/metrics"]
    assert '"samples"' in told["exporter/samples.json?after=0"]
    written: dict[str, str] = {}

    def are_written() -> bool:
        """Tell whether there are counts of ended processes, too."""
        written.update(of_files(planted.site))
        return "exporter.counts" in written

    wait_until(are_written, limit_s=LIMIT_S, what="the exporter keeps counts of ended processes")
    assert any(name.startswith("web.") for name in written)
    assert "dead_letter.kept" in written["said"]
    planted.check((told | written).items())


@pytest.mark.parametrize("site", ["embedded"], indirect=True)
def test_nothing_tells_a_secret_while_redis_is_silent(planted: Planted) -> None:
    """On the full stack Redis is another program's, too."""
    site, ids = planted.site, planted.ids[:1]
    with frozen(site.service.pid("redis")):
        told = {name: text for name, _, text in of_pages(planted.staff["root"], ids)}
        told |= of_commands(site, ids)
    assert "Redis does not answer" in told["doctor"]
    told |= dict(of_addresses(site)) | dict(of_files(site))
    assert "breaker.opened" in told["said"]
    planted.check(told.items())
