"""Test how a use case's changes reach this process's directory, and the other processes."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.domain.backend_errors import CacheUnavailable
from messaging.domain.changes import Change, GroupChanged, MemberChanged, Notice
from messaging.runtime import publishing
from messaging.runtime.publishing import publisher
from tests.support.memory import SETTINGS

CHANGES: list[Change] = [MemberChanged(1, 2), GroupChanged(3)]


class Listener:
    """Note what this process is told, as a directory behind a listener does."""

    origin = "me"

    def __init__(self) -> None:
        self.taken: list[Change] = []

    def take(self, changes: list[Change]) -> None:
        self.taken += changes


async def test_this_process_is_told_first_and_the_others_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listener, published = Listener(), []

    def publish(_settings: object, notice: Notice) -> None:
        published.append((notice, list(listener.taken)))

    monkeypatch.setattr(publishing, "publish", publish)
    tell = publisher(listener, SETTINGS)  # type: ignore[arg-type]
    await tell(CHANGES)
    assert published == [(Notice("me", tuple(CHANGES)), CHANGES)]


async def test_a_failure_is_logged_and_goes_no_further(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def publish(*_: Any) -> None:
        raise CacheUnavailable

    monkeypatch.setattr(publishing, "publish", publish)
    listener = Listener()
    await publisher(listener, SETTINGS)(CHANGES)  # type: ignore[arg-type]
    assert listener.taken == CHANGES
    assert [record.__dict__["action"] for record in caplog.records] == ["changes.not_published"]
