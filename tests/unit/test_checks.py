"""Test the system checks: they refuse insecure production settings and settings that cannot run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from messaging.checks import check_production, check_settings

GOOD_KEY = "k" * 32


@pytest.fixture
def production(settings: Settings, tmp_path: Path) -> Settings:
    """Return settings that production accepts."""
    settings.PRODUCTION = True
    settings.SECRET_KEY = settings.JWT_KEY = GOOD_KEY
    settings.DEBUG = False
    settings.ALLOWED_HOSTS = ["chat.example"]
    settings.VAR_DIR = tmp_path
    return settings


def ids_of(messages: list[Any]) -> list[str]:
    assert all(message.hint for message in messages)
    assert all(message.is_serious() for message in messages)
    return [message.id for message in messages]


def test_good_settings_are_accepted(production: Settings) -> None:
    assert check_production() == []
    assert check_settings() == []


@pytest.mark.parametrize("name", ["SECRET_KEY", "JWT_KEY"])
class TestAKeyOfProduction:
    def test_is_set(self, production: Settings, name: str) -> None:
        setattr(production, name, production.UNSET_KEY)
        assert ids_of(check_production()) == ["messaging.E001"]

    def test_is_not_short(self, production: Settings, name: str) -> None:
        setattr(production, name, GOOD_KEY[:-1])
        assert ids_of(check_production()) == ["messaging.E002"]

    def test_is_not_the_one_of_development(
        self, production: Settings, name: str, tmp_path: Path
    ) -> None:
        key = "generated" * 8
        (tmp_path / f"im_{name.lower()}").write_text(key)
        setattr(production, name, key)
        (refused,) = check_production()
        assert refused.id == "messaging.E003"
        assert key not in f"{refused.msg}{refused.hint}"


def test_production_does_not_debug(production: Settings) -> None:
    production.DEBUG = True
    assert ids_of(check_production()) == ["messaging.E004"]


@pytest.mark.parametrize("hosts", [["*"], ["chat.example", "*"], []])
def test_production_names_its_hosts(production: Settings, hosts: list[str]) -> None:
    production.ALLOWED_HOSTS = hosts
    assert ids_of(check_production()) == ["messaging.E005"]


def test_development_may_do_all_that(production: Settings) -> None:
    production.PRODUCTION = False
    production.SECRET_KEY = production.JWT_KEY = "short"
    production.DEBUG = True
    production.ALLOWED_HOSTS = ["*"]
    assert check_production() == []


class TestPlaintext:
    @pytest.mark.parametrize(
        ("changes", "variables"),
        [
            ({"redis_url": "redis://:hunter2@redis:6379/0"}, ["IM_REDIS_URL"]),
            ({"event_log_url": "kafka://127.0.0.1,u:hunter2@kafka:9092"}, ["IM_EVENT_LOG_URL"]),
            ({"redis_url": "rediss://redis/0", "event_log_url": "kafkas://kafka"}, []),
        ],
    )
    def test_to_another_machine_is_warned_of(
        self, production: Settings, changes: dict[str, str], variables: list[str]
    ) -> None:
        production.IM = replace(production.IM, **changes)
        warnings = check_production()
        assert [(each.id, each.is_serious()) for each in warnings] == [
            ("messaging.W010", False) for _ in variables
        ]
        assert [each.msg.split()[0] for each in warnings] == variables
        assert "hunter2" not in str(warnings)

    @pytest.mark.parametrize(
        ("host", "options", "count"),
        [("db", {}, 1), ("db", {"ssl_mode": "VERIFY_IDENTITY"}, 0), ("127.0.0.1", {}, 0)],
    )
    def test_to_the_database_as_well(
        self,
        production: Settings,
        monkeypatch: pytest.MonkeyPatch,
        host: str,
        options: dict[str, str],
        count: int,
    ) -> None:
        monkeypatch.setitem(production.DATABASES["default"], "HOST", host)
        monkeypatch.setitem(production.DATABASES["default"], "OPTIONS", options)
        assert [each.id for each in check_production()] == ["messaging.W010"] * count


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"private_mode": "asynchronous"}, ["messaging.E006"]),
        ({"group_mode": ""}, ["messaging.E006"]),
        ({"private_mode": "ASYNC", "group_mode": "Sync"}, ["messaging.E006", "messaging.E006"]),
        ({"datacenter_id": -1}, ["messaging.E007"]),
        ({"datacenter_id": 32}, ["messaging.E007"]),
        ({"event_log_url": "kafak://127.0.0.1:9092"}, ["messaging.E008"]),
        ({"event_log_url": "127.0.0.1:9092"}, ["messaging.E008"]),
        ({"event_log_url": ""}, ["messaging.E008"]),
        ({"event_log_url": "kafka://"}, ["messaging.E008"]),
        ({"private_mode": "sync", "group_mode": "async", "datacenter_id": 31}, []),
        ({"datacenter_id": 0, "event_log_url": "kafka://a:9092,b:9092"}, []),
        ({"datacenter_id": None, "event_log_url": "redis://127.0.0.1:6379/0"}, []),
    ],
)
def test_settings_that_cannot_run_are_refused_everywhere(
    settings: Settings, changes: dict[str, Any], expected: list[str]
) -> None:
    settings.IM = replace(settings.IM, **changes)
    assert ids_of(check_settings()) == expected


def test_a_refused_address_is_not_printed_with_its_password(settings: Settings) -> None:
    settings.IM = replace(settings.IM, event_log_url="amqp://user:hunter2@broker")
    (refused,) = check_settings()
    assert "hunter2" not in f"{refused.msg}{refused.hint}"


@pytest.mark.parametrize(
    "limits",
    [
        {"send_rate": -1},
        {"login_address_per_minute": -0.5},
        {"register_burst": 0},
        {"lookup_burst": -1},
        {"hash_places": 0},
        {"hash_queue": -1},
    ],
    ids=str,
)
def test_a_number_that_is_no_limit_is_refused(settings: Settings, limits: dict[str, Any]) -> None:
    settings.IM = replace(settings.IM, **limits)
    assert ids_of(check_settings()) == ["messaging.E009"]


def test_any_number_may_pass_at_a_rate_of_none(settings: Settings) -> None:
    settings.IM = replace(settings.IM, read_rate=0, read_burst=0)
    assert check_settings() == []
