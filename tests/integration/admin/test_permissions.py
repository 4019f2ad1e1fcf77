"""Test the permissions of the admin: which users enter, and which actions they have."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.test import Client

from messaging.operators import OPERATORS
from tests.integration.admin.pages import (
    AUDIT_RUNS,
    BLOCKS,
    DEAD_LETTERS,
    GROUPS,
    MEMBERS,
    MESSAGES,
    PENDING,
    USERS,
    page,
    shown,
    store,
)
from tests.support.messages import make_message

LISTS = [MESSAGES, PENDING, DEAD_LETTERS, AUDIT_RUNS, GROUPS, MEMBERS, BLOCKS]


@pytest.mark.parametrize("address", [*LISTS, USERS, "/admin/"])
def test_anybody_else_is_sent_to_the_login(configured: None, address: str) -> None:
    response = Client().get(address)

    assert response.status_code == 302
    assert response.headers["Location"].startswith("/admin/login/")


def test_the_slash_at_the_end_may_be_forgotten() -> None:
    assert Client().get("/admin").headers["Location"] == "/admin/"


@pytest.mark.parametrize("address", [*LISTS, USERS])
def test_staff_without_the_permission_are_refused(configured: None, address: str) -> None:
    client = Client()
    client.force_login(User.objects.create_user("sam", is_staff=True))

    assert client.get(address).status_code == 403
    assert client.post(address, {"_selected_action": ["5"]}).status_code == 403


def test_a_chat_user_is_no_staff(configured: None) -> None:
    client = Client()
    client.force_login(User.objects.create_user("alice"))

    assert client.get(MESSAGES).status_code == 302


@pytest.mark.parametrize("address", [*LISTS, USERS])
def test_an_operator_sees_every_list(desk: Client, address: str) -> None:
    page(desk.get(address))


def test_an_operator_finds_what_there_is_to_do_on_the_first_page(desk: Client) -> None:
    response = desk.get("/admin/")

    for name in ("IM site administration", "Messages", "Pending messages", "Dead letters"):
        assert name in shown(response)
    assert "/add/" not in page(response)


def test_an_operator_changes_neither_groups_nor_blocks_nor_users(
    desk: Client, operator: User
) -> None:
    group_id = "1"
    for address in (f"{GROUPS}add/", f"{USERS}add/", f"{MEMBERS}add/", f"{BLOCKS}add/"):
        assert desk.get(address).status_code == 403
    assert desk.post(f"{USERS}{operator.pk}/change/", {"is_superuser": "on"}).status_code == 403
    assert desk.post(f"{GROUPS}{group_id}/delete/").status_code == 403


@pytest.mark.parametrize("action", ["add/", "{}/delete/"])
def test_not_even_a_superuser_adds_or_removes_a_message(superuser: Client, action: str) -> None:
    message = make_message(1)
    store(message)

    assert superuser.get(MESSAGES + action.format(message.id)).status_code == 403
    assert superuser.post(MESSAGES + action.format(message.id)).status_code == 403


def test_not_even_a_superuser_edits_a_message(superuser: Client) -> None:
    message = make_message(1)
    store(message)
    address = f"{MESSAGES}{message.id}/change/"

    assert superuser.post(address, {"content": "x"}).status_code == 403
    assert 'name="content"' not in page(superuser.get(address))


def test_there_is_no_permission_to_write_messages(configured: None) -> None:
    codenames = Permission.objects.filter(content_type__model="message")

    assert {permission.codename for permission in codenames} == {"view_message"}


def test_a_migration_leaves_the_operators_as_the_site_made_them(configured: None) -> None:
    operators = Group.objects.get(name=OPERATORS)
    operators.permissions.remove(Permission.objects.get(codename="view_user"))

    call_command("migrate", verbosity=0)

    codenames = {permission.codename for permission in operators.permissions.all()}
    assert "view_user" not in codenames
    assert "change_deadletter" in codenames
