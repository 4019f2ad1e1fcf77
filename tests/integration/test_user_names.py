"""Test user names: the names that may be taken, and the user whom a name finds."""

from __future__ import annotations

import importlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection

from messaging.models import ChatGroup, UserName
from tests.support.http_client import Answer
from tests.support.service import PASSWORD, Service, User

REGISTER = "/api/user/register"
NAMES_OF_ONE = ("Alice", "alice", "ALICE")


def register(service: Service, username: str) -> Answer:
    body = {"username": username, "password": PASSWORD}
    return service.anybody.post(REGISTER, body)


@pytest.mark.parametrize("username", ["प्रिया", "กิตติ", "ကောင်း", "مُحَمَّد", "Ọ̀ṣun", "මලින්ද"])
def test_names_of_all_scripts_are_taken_with_their_marks(service: Service, username: str) -> None:
    assert register(service, username).status == 200
    body = {"username": username, "password": PASSWORD}
    assert service.anybody.post("/api/user/login", body).status == 200


@pytest.mark.parametrize("username", ["\u3164" * 3, "\u115f" * 5, "carol\uffa0", "саrol"])
def test_names_that_deceive_the_eye_are_refused(service: Service, username: str) -> None:
    assert register(service, username).wrong == {"username"}


@pytest.mark.parametrize("path", [REGISTER, "/api/user/login", "/api/token/"])
def test_a_name_past_any_length_is_refused_as_it_was_sent(service: Service, path: str) -> None:
    body = {"username": "x" * 151, "password": PASSWORD}
    answer = service.anybody.post(path, body, headers={"Accept-Language": "zh-CN"})
    assert answer.wrong == {"username"}
    assert answer.data["errors"]["username"] == ["最多 150 个字符。"]


class TestANameInAnotherCase:
    @pytest.mark.parametrize("username", ["ALICE", "Alice", "ａＬＩＣＥ"])
    def test_is_taken(self, service: Service, alice: User, username: str) -> None:
        answer = register(service, username)
        assert (answer.status, answer.code) == (409, 1001)
        assert get_user_model().objects.count() == 1

    def test_is_given_to_one_of_those_who_ask_at_once(self, service: Service) -> None:
        names = ["carol", "CAROL", "Carol", "cAROL"] * 2
        with ThreadPoolExecutor(8) as many:
            codes = sorted(
                answer.code for answer in many.map(lambda n: register(service, n), names)
            )
        assert codes == [200] + [1001] * 7
        assert get_user_model().objects.count() == 1

    @pytest.mark.parametrize("path", ["/api/user/login", "/api/token/"])
    def test_logs_its_user_in(self, service: Service, alice: User, path: str) -> None:
        body = {"username": "ALICE", "password": PASSWORD}
        assert service.anybody.post(path, body).status == 200

    def test_logs_in_whoever_is_called_exactly_so(self, service: Service, alice: User) -> None:
        other = get_user_model()(username="ALICE")
        other.set_password("another one 77")
        get_user_model().objects.bulk_create([other])  # as rows of an older database have it
        for username, password, user_id in (
            ("ALICE", "another one 77", str(other.pk)),
            ("alice", PASSWORD, alice.id),
            ("Alice", PASSWORD, alice.id),
        ):
            body = {"username": username, "password": password}
            assert service.anybody.post("/api/user/login", body).data["userId"] == user_id

    def test_is_taken_in_a_shell_as_well(self, service: Service, alice: User) -> None:
        with pytest.raises(IntegrityError):
            get_user_model().objects.create_user("ALICE")
        bob = get_user_model().objects.create_user("bob")
        bob.username = "Alice"
        with pytest.raises(IntegrityError):
            bob.save()
        assert get_user_model().objects.count() == 2

    def test_is_free_again_after_its_user_has_another_one(
        self, service: Service, alice: User
    ) -> None:
        user = get_user_model().objects.get()
        user.username = "ALICIA"
        user.save(update_fields=["username"])
        assert register(service, "aliCE").status == 200
        assert register(service, "alicia").status == 409
        user.delete()
        assert register(service, "alicia").status == 200


def test_users_from_before_keep_their_names(
    transactional_db: None, capsys: pytest.CaptureFixture[str]
) -> None:
    users = [get_user_model()(username=name) for name in ("bob", *NAMES_OF_ONE)]
    get_user_model().objects.bulk_create(users)
    migration: Any = importlib.import_module("messaging.migrations.0011_user_names")
    with connection.schema_editor() as editor:
        for _ in range(2):
            migration.fold_names(apps, editor)
    assert dict(UserName.objects.values_list("user__username", "folded")) == {
        "bob": "bob",
        "Alice": "alice",
    }
    first, second, third = (get_user_model().objects.get(username=n) for n in NAMES_OF_ONE)
    told = capsys.readouterr().out
    assert told.count("has the name of user") == 4
    for each in (second, third):
        assert f"user {each.pk} '{each}' has the name of user ({first.pk}, 'Alice')" in told
    third.first_name = "Alice"
    third.save()  # a save without a new name passes


def test_the_shared_validators_judge_superusers_and_groups(transactional_db: None) -> None:
    with pytest.raises(CommandError, match="invisible characters"):
        call_command("createsuperuser", username="\u3164" * 3, email="", interactive=False)
    call_command("createsuperuser", username="root", email="", interactive=False)
    with pytest.raises(ValidationError, match="invisible characters"):
        ChatGroup(name="\u3164").full_clean()
    ChatGroup(name="読書会 📚").full_clean()
