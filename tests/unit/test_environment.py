"""Test environment variables: which values are understood, and that others are refused by name."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from django.core.exceptions import ImproperlyConfigured

from imsite.environment import Environment

SCHEMES = ("mysql", "sqlite")
PASSWORD = "do-not-print-me"


def environment(**variables: str) -> Environment:
    env = Environment()
    env.ENVIRON = variables
    return env


def test_what_is_not_set_has_its_default() -> None:
    env = environment()
    assert env.int("A", default=3) == 3
    assert env.float("A", default=0.5) == 0.5
    assert env.bool("A", default=True) is True
    assert env.choice("A", ("plain", "json"), default="plain") == "plain"


@pytest.mark.parametrize(
    ("text", "on"), [("1", True), ("Yes", True), ("on", True), ("0", False), ("OFF", False)]
)
def test_a_switch_is_on_or_off(text: str, on: bool) -> None:
    assert environment(A=text).bool("A", default=not on) is on


def test_a_choice_may_be_written_in_any_case() -> None:
    assert environment(A="Production").choice("A", ("production",), default="") == "production"


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (lambda env: env.int("IM_A", default=1), "5min"),
        (lambda env: env.int("IM_A", default=1), "1.5"),
        (lambda env: env.float("IM_A", default=1.0), "8ms"),
        (lambda env: env.float("IM_A", default=1.0), "nan"),
        (lambda env: env.float("IM_A", default=1.0), "1,5"),
        (lambda env: env.bool("IM_A", default=False), "ture"),
        (lambda env: env.choice("IM_A", ("plain", "json"), default="plain"), "xml"),
    ],
)
def test_what_is_not_understood_is_refused_by_its_name(read: Any, text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^IM_A is ") as refused:
        read(environment(IM_A=text))
    assert repr(text) in str(refused.value)


@pytest.mark.parametrize(
    "address", [f"postgres://im:{PASSWORD}@127.0.0.1/im", f"//im:{PASSWORD}@127.0.0.1/im", "im"]
)
def test_a_database_that_is_not_known_is_refused_without_its_password(address: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^IM_A has to begin with mysql://") as refused:
        environment(IM_A=address).database("IM_A", SCHEMES, default="")
    assert PASSWORD not in str(refused.value)


def test_a_known_database_is_taken_apart() -> None:
    parsed = environment(A="mysql://im:secret@db:3306/im").database("A", SCHEMES, default="")
    assert (parsed["ENGINE"], parsed["HOST"], parsed["PORT"]) == (
        "django.db.backends.mysql",
        "db",
        3306,
    )


AWKWARD = [
    "$PATH",
    "$$",
    r"\$a",
    r"a\nb",
    "'quoted'",
    '"quoted"',
    "(a,b)",
    "[1]",
    "#a",
    "a b",
    "%41",
    "é",
]


@pytest.mark.parametrize("text", AWKWARD)
def test_a_value_is_taken_as_it_is(text: str) -> None:
    env = environment(A=text, PATH="/bin", a="another")
    assert env.str("A", default="") == text
    assert env.str("A") == text


def test_a_list_is_what_stands_between_commas() -> None:
    assert environment(A=" a.example, $b,,(c) ").list("A", default=[]) == ["a.example", "$b", "(c)"]
    assert environment().list("A", default=["*"]) == ["*"]


@pytest.mark.parametrize("quoted", [True, False])
@pytest.mark.parametrize(
    "password", ["p@ss", "a:b", "a/b", "a?b=c", "a#b", "a+b", "a b", "$a", "[", "é"]
)
def test_a_password_may_have_any_character(password: str, quoted: bool) -> None:
    written = quote(password, safe="") if quoted else password
    address = f"mysql://im:{written}@db:3306/im?unix_socket=/run/a/c"
    parsed = environment(A=address).database("A", SCHEMES, default="")
    told = {name: parsed[name] for name in ("USER", "PASSWORD", "HOST", "PORT", "NAME")}
    assert told == {"USER": "im", "PASSWORD": password, "HOST": "db", "PORT": 3306, "NAME": "im"}
    assert parsed["OPTIONS"] == {"unix_socket": "/run/a/c"}


@pytest.mark.parametrize(
    "path", ["/a b/im", "/a%41/im", "/a+b/im", "/a#b/im", "/a@b:1/im", "/a'\"é$;/im"]
)
def test_a_path_may_have_any_character(path: str) -> None:
    parsed = environment().database("A", SCHEMES, default=f"sqlite:///{quote(path)}")
    assert parsed["NAME"] == path


@pytest.mark.parametrize("place", ["127.0.0.1", "127.0.0.1:33o6/im", "[::1/im"])
def test_a_place_that_cannot_be_read_is_refused_without_its_password(place: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^IM_A has to look like ") as refused:
        environment(IM_A=f"mysql://im:{PASSWORD}@{place}").database("IM_A", SCHEMES, default="")
    assert PASSWORD not in str(refused.value)


def test_networks_are_read_and_what_is_none_is_refused_by_its_name() -> None:
    env = environment(IM_A="10.0.0.0/8, fd00::1", IM_B="10.0.0.1/8", IM_C="balancer")
    assert list(map(str, env.networks("IM_A"))) == ["10.0.0.0/8", "fd00::1/128"]
    assert env.networks("IM_NONE") == ()
    for name in ("IM_B", "IM_C"):
        with pytest.raises(ImproperlyConfigured, match=rf"^{name} has to name addresses"):
            env.networks(name)
