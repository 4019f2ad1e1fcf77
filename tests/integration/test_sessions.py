"""Test the rows of sessions, and when an end counts that a process was not told of."""

from __future__ import annotations

import time

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command

from messaging import sessions
from messaging.models import UserSession, UserTokens
from tests.integration.logins import ENDED, NEW_PASSWORD, OPEN, login, refreshed, saved, state, told
from tests.support.service import PASSWORD, Service, User, at_both_doors, with_settings

pytestmark = at_both_doors()


class TestANewPassword:
    def test_is_nothing_that_other_changes_are(self, service: Service, alice: User) -> None:
        saved(alice, lambda user: setattr(user, "first_name", "Alice"))
        assert state(service, alice.client.token or "") == OPEN
        assert not UserTokens.objects.exists()


class TestARefreshToken:
    def test_that_has_expired_leaves_nothing_behind(
        self, service: Service, alice: User, bob: User
    ) -> None:
        UserSession.objects.filter(user_id=bob.id).update(expires_at=1)
        login(service, alice)
        assert set(UserSession.objects.values_list("user_id", flat=True)) == {int(alice.id)}

    def test_is_kept_for_a_bounded_number_of_logins(
        self, service: Service, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sessions, "SESSIONS_HELD", 3)
        UserSession.objects.update(expires_at=1)  # the registration's session expires
        logins = [login(service, alice) for _ in range(4)]
        assert UserSession.objects.count() == 3
        assert refreshed(service, logins[3]["refresh"]).status == 200


@with_settings(change_rate=0.01, change_burst=2)
def test_what_a_user_changes_about_tokens_has_a_rate(
    service: Service, alice: User, bob: User
) -> None:
    logins = [login(service, alice) for _ in range(5)]
    for each in logins[:2]:
        refreshed(service, each["refresh"])
    for call, body in (
        ("/api/token/refresh/", {"refresh": logins[2]["refresh"]}),
        ("/api/user/logout", {}),
        ("/api/user/logout-all", {}),
        ("/api/user/password", {"oldPassword": PASSWORD, "newPassword": NEW_PASSWORD}),
    ):
        assert told(alice.client.post(call, body)) == (429, 4290)
    assert state(service, alice.client.token or "") == OPEN
    assert bob.client.post("/api/user/logout").status == 200


@with_settings(identity_ttl_s=0.3)
def test_an_end_that_nobody_was_told_of_counts_in_the_stated_time(
    service: Service, alice: User
) -> None:
    assert state(service, alice.client.token or "") == OPEN
    UserTokens.objects.bulk_create([UserTokens(user_id=alice.id, generation=1)])
    time.sleep(0.3)
    assert state(service, alice.client.token or "") == ENDED


def test_demo_tokens_are_good_after_a_logout(
    service: Service, alice: User, capsys: pytest.CaptureFixture[str]
) -> None:
    alice.client.post("/api/user/logout-all")
    call_command("demo_tokens")
    shown = dict(line.split("=") for line in capsys.readouterr().out.split())
    assert state(service, shown["ALICE"]) == OPEN


def test_a_user_with_ended_tokens_can_be_deleted(service: Service, alice: User) -> None:
    sessions.end_session(int(alice.id), "x")
    login(service, alice)
    get_user_model().objects.get().delete()
    assert not UserTokens.objects.exists()
    assert not UserSession.objects.exists()
