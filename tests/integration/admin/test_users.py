"""Test users in the admin: their names, and the changes that end their tokens."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from messaging.models import ChatGroup, UserSession, UserTokens
from messaging.sessions import open_session
from tests.integration.admin.pages import GROUPS, USERS, shown
from tests.integration.admin.test_groups import form_of

PASSWORD = "blue kettle 42"


def add(superuser: Client, username: str) -> str:
    """Add a user by the form; return the text of the page that refuses the name, else ""."""
    form = {"username": username, "password1": PASSWORD, "password2": PASSWORD}
    answer = superuser.post(f"{USERS}add/", form | {"usable_password": "true"})
    return "" if answer.status_code == 302 else shown(answer)


@pytest.mark.parametrize("username", ["प्रिया", "មករា", "carol"])
def test_a_user_is_added_under_a_name_of_any_script(superuser: Client, username: str) -> None:
    assert add(superuser, username) == ""
    assert User.objects.get(username=username).check_password(PASSWORD)


def test_names_are_judged_as_the_api_judges_them(superuser: Client) -> None:
    assert add(superuser, "alice") == ""
    for username, told in (
        ("\u3164\u3164\u3164", "invisible characters"),
        ("q\u0301\u0302\u0300bc", "too many marks"),
        ("аlice", "look alike"),
        ("ALICE", "This user name is taken."),
    ):
        assert told in add(superuser, username)
    form = form_of(superuser, f"{GROUPS}add/") | {"name": "\u3164"}
    assert "invisible characters" in shown(superuser.post(f"{GROUPS}add/", form))
    assert not ChatGroup.objects.exists()


def test_a_user_from_before_is_locked_out_under_any_name(superuser: Client) -> None:
    User.objects.bulk_create([User(username="\u1160" * 40), User(username="ROOT")])
    for user in User.objects.exclude(username="root"):
        address = f"{USERS}{user.pk}/change/"
        form = form_of(superuser, address) | {"username": user.username, "first_name": "X"}
        assert superuser.post(address, form).status_code == 302
        user.refresh_from_db()
        assert (user.is_active, user.first_name) == (False, "X")
        renamed = superuser.post(address, form | {"username": "Root"})
        assert "This user name is taken." in shown(renamed)


@pytest.mark.parametrize("usable", ["true", "false"])
def test_the_password_form_ends_all_tokens(superuser: Client, usable: str) -> None:
    user = User.objects.create_user("alice", password=PASSWORD)
    open_session(user)
    form = {"password1": "another one 77", "password2": "another one 77"}
    form |= {"usable_password": usable}
    if usable == "false":
        form["unset-password"] = "Disable password-based authentication"
    assert superuser.post(f"{USERS}{user.pk}/password/", form).status_code == 302
    assert not UserSession.objects.exists()
    assert UserTokens.objects.get().generation == 1
