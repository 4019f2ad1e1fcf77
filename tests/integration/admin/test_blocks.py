"""Test blocks in the admin: looking, adding and removing."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from messaging.models import UserBlock
from messaging.runtime import wiring
from tests.integration.admin.pages import BLOCKS, listed, page, said, shown


@pytest.fixture
def users(configured: None) -> list[User]:
    return [User.objects.create_user(f"user{n}") for n in range(3)]


def block(blocker: User, blocked: User) -> int:
    return int(UserBlock.objects.create(blocker=blocker, blocked=blocked).pk)


def test_a_block_is_added_and_counts(superuser: Client, users: list[User]) -> None:
    form = {"blocker": users[0].pk, "blocked": users[1].pk}
    assert superuser.post(f"{BLOCKS}add/", form).status_code == 302

    assert "user0 user1" in shown(superuser.get(BLOCKS))
    assert wiring.run(lambda b: b.directory.is_blocked(users[0].pk, users[1].pk))


@pytest.mark.parametrize(
    ("blocked", "text"), [(1, "already exists"), (0, "user_block_not_oneself")]
)
def test_what_cannot_be_is_told(
    superuser: Client, users: list[User], blocked: int, text: str
) -> None:
    block(users[0], users[1])
    form = {"blocker": users[0].pk, "blocked": users[blocked].pk}

    assert text in shown(superuser.post(f"{BLOCKS}add/", form))
    assert UserBlock.objects.count() == 1


def test_a_block_is_removed(superuser: Client, users: list[User]) -> None:
    made = block(users[0], users[1])
    assert superuser.post(f"{BLOCKS}{made}/delete/", {"post": "yes"}).status_code == 302

    assert not UserBlock.objects.exists()


def test_blocks_are_removed_together(superuser: Client, users: list[User]) -> None:
    made = [block(users[0], users[1]), block(users[1], users[0])]
    form = {"action": "delete_selected", "_selected_action": made, "post": "yes"}
    response = superuser.post(BLOCKS, form, follow=True)

    assert said(response) == ["Successfully deleted 2 blocks."]


def test_a_block_is_never_changed(superuser: Client, users: list[User]) -> None:
    made = block(users[0], users[1])
    address = f"{BLOCKS}{made}/change/"

    assert "<select" not in page(superuser.get(address)).split('id="content-main"')[1]
    assert superuser.post(address, {"blocker": users[2].pk}).status_code == 403


def test_blocks_are_found_by_either_user(desk: Client, users: list[User]) -> None:
    made = [block(users[0], users[1]), block(users[0], users[2]), block(users[2], users[1])]

    assert listed(desk.get(BLOCKS)) == made[::-1]
    assert listed(desk.get(BLOCKS, {"q": str(users[0].pk)})) == [made[1], made[0]]
    assert listed(desk.get(BLOCKS, {"q": f"of:{users[1].pk}"})) == [made[2], made[0]]
    assert listed(desk.get(BLOCKS, {"q": "of:9223372036854775808"})) == []
    assert listed(desk.get(BLOCKS, {"q": "9" * 25})) == []
