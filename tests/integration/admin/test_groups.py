"""Test groups and members in the admin, with any number of members."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from messaging.models import ChatGroup, ChatGroupMember, Message, Profile
from messaging.runtime import wiring
from messaging.service.group_rules import Actor
from messaging.service.groups import create_group
from tests.integration.admin.pages import GROUPS, MEMBERS, USERS, listed, page, said, shown

AUTOCOMPLETE = "/admin/autocomplete/"
NEW, MEMBER = "chatgroupmember_set", "chatgroupmember_set-2"


def make_users(count: int) -> list[User]:
    return User.objects.bulk_create([User(username=f"user{n:04}") for n in range(count)])


def make_group(members: list[User], name: str = "Book club") -> ChatGroup:
    group = ChatGroup.objects.create(name=name)
    ChatGroupMember.objects.bulk_create(
        [ChatGroupMember(group=group, user=user) for user in members]
    )
    return group


def owned_group(owner: User, *members: User) -> ChatGroup:
    """Create a group of an owner as the API does."""
    ids = [member.pk for member in members]
    made = wiring.run(
        lambda backends: create_group(
            backends, {"name": "Book club"}, actor=Actor(user_id=owner.pk), user_ids=ids
        )
    )
    return ChatGroup.objects.get(pk=made.changed.group.id)


def edit(client: Client, group: ChatGroup, changes: dict[str, Any]) -> Any:
    """Send the form of a group's page back with these changes."""
    address = f"{GROUPS}{group.pk}/change/"
    roles = group.chatgroupmember_set.order_by("pk").values_list("role", flat=True)
    kept = {f"{MEMBER}-{n}-role": role for n, role in enumerate(roles)}
    kept[f"{NEW}-0-role"] = "member"
    return client.post(address, form_of(client, address) | kept | changes)


def roles_in(group: ChatGroup) -> dict[int, str]:
    return dict(group.chatgroupmember_set.values_list("user_id", "role"))


def told(group: ChatGroup) -> list[str]:
    """Return the events that the members of a group were told, in order."""
    page = wiring.run(lambda backends: backends.store.page(f"g{group.pk}", before=None, limit=100))
    return [row.notice.event.value for row in reversed(page) if row.notice is not None]


def form_of(client: Client, address: str) -> dict[str, Any]:
    """Return the fields that a browser would send back of this page's form."""
    fields = {}
    for field in re.findall(r"<input[^>]*>", page(client.get(address))):
        name, value = re.search(r'name="([^"]*)"', field), re.search(r'value="([^"]*)"', field)
        if name and "checkbox" not in field and "submit" not in field:
            fields[name[1]] = value[1] if value else ""
    return {name: value for name, value in fields.items() if "__prefix__" not in name}


def test_a_group_is_added_with_its_members(superuser: Client) -> None:
    alice, bob = make_users(2)
    form = form_of(superuser, f"{GROUPS}add/") | {
        "name": "読書会",
        "owner": alice.pk,
        f"{NEW}-0-user": bob.pk,
        f"{NEW}-0-role": "member",
    }

    assert superuser.post(f"{GROUPS}add/", form).status_code == 302

    group = ChatGroup.objects.get()
    roles = dict(group.chatgroupmember_set.values_list("user_id", "role"))
    assert (group.name, roles) == ("読書会", {alice.pk: "owner", bob.pk: "member"})
    assert f"{group.pk} 読書会 g{group.pk}" in shown(superuser.get(GROUPS))
    assert told(group) == ["created", "invited"]


def test_a_group_is_not_added_without_an_owner(superuser: Client) -> None:
    form = form_of(superuser, f"{GROUPS}add/") | {"name": "No owner"}

    assert "This field is required." in shown(superuser.post(f"{GROUPS}add/", form))

    assert not ChatGroup.objects.exists()


def test_members_read_what_the_staff_have_changed(superuser: Client) -> None:
    alice, bob, carol = make_users(3)
    group = owned_group(alice, bob)
    edit(
        superuser,
        group,
        {
            "name": "Chess",
            f"{MEMBER}-1-role": "admin",
            f"{NEW}-0-user": carol.pk,
            f"{NEW}-0-role": "admin",
        },
    )
    assert told(group)[2:] == ["updated", "invited", "role", "role"]
    sender = Message.objects.order_by("-seq").values_list("from_user_id", flat=True)[0]
    assert sender == User.objects.get(username="root").pk
    edit(superuser, group, {f"{MEMBER}-1-role": "owner"})
    assert roles_in(group) == {alice.pk: "admin", bob.pk: "owner", carol.pk: "admin"}
    group.refresh_from_db()
    assert (group.name, group.member_count) == ("Chess", 3)


def test_the_owner_is_removed_only_after_a_transfer(superuser: Client) -> None:
    alice, bob = make_users(2)
    group = owned_group(alice, bob)
    owner = group.chatgroupmember_set.get(user=alice)

    response = superuser.post(f"{MEMBERS}{owner.pk}/delete/", {"post": "yes"})

    assert response.status_code == 409
    assert roles_in(group) == {alice.pk: "owner", bob.pk: "member"}
    assert edit(superuser, group, {f"{MEMBER}-0-DELETE": "on"}).status_code == 409
    assert superuser.post(f"{MEMBERS}{owner.pk}/change/", {"role": "member"}).status_code == 403
    member = group.chatgroupmember_set.get(user=bob)
    superuser.post(f"{MEMBERS}{member.pk}/change/", {"role": "owner"})
    superuser.post(f"{MEMBERS}{owner.pk}/delete/", {"post": "yes"})
    assert roles_in(group) == {bob.pk: "owner"}
    assert told(group)[2:] == ["transferred", "removed"]


def test_a_group_is_dissolved(superuser: Client) -> None:
    alice, bob = make_users(2)
    group = owned_group(alice, bob)

    edit(superuser, group, {"dissolve": "on"})

    group.refresh_from_db()
    assert (group.state, group.members.count()) == ("DISSOLVED", 2)
    assert told(group)[2:] == ["dissolved"]
    assert edit(superuser, group, {"name": "Other"}).status_code == 409


def test_a_group_is_pinned_to_a_mode(superuser: Client) -> None:
    alice, bob = make_users(2)
    group = owned_group(alice, bob)
    for mode, expected in (("sync", "sync"), ("", None)):
        edit(superuser, group, {"mode": mode})
        access = wiring.run(lambda backends: backends.directory.group_access(group.pk, alice.pk))
        assert access is not None
        assert access.group.mode == expected
    assert told(group)[2:] == []


def test_who_takes_no_invitations_is_named(superuser: Client) -> None:
    alice, bob = make_users(2)
    group = owned_group(alice)
    Profile.objects.create(user=bob, invites_from="nobody")

    response = edit(superuser, group, {f"{NEW}-0-user": bob.pk, f"{NEW}-0-role": "member"})

    assert "user0001: This group does not admit you." in said(superuser.get(response.url))
    assert roles_in(group) == {alice.pk: "owner"}


# The place of a member that the page shows, and of one that it does not show.
@pytest.mark.parametrize("place", [0, 59])
def test_a_user_is_a_member_once(superuser: Client, place: int) -> None:
    users = make_users(60)
    group = make_group(users)
    address = f"{GROUPS}{group.pk}/change/"
    form = form_of(superuser, address) | {f"{MEMBER}-{n}-role": "member" for n in range(50)}
    form |= {"name": "Other", f"{NEW}-0-user": users[place].pk, f"{NEW}-0-role": "member"}

    assert "This user is a member already." in shown(superuser.post(address, form))

    assert group.members.count() == 60
    assert not ChatGroup.objects.filter(name="Other").exists()


def test_a_large_group_shows_its_first_members_and_keeps_the_others(superuser: Client) -> None:
    users = make_users(1_203)
    group = make_group(users[:1_200])
    address = f"{GROUPS}{group.pk}/change/"

    form = form_of(superuser, address)
    assert form[f"{MEMBER}-INITIAL_FORMS"] == "50"
    form |= {f"{MEMBER}-{n}-role": "member" for n in range(50)} | {
        "name": "Large",
        f"{MEMBER}-0-role": "admin",
        f"{MEMBER}-1-DELETE": "on",
        f"{NEW}-0-user": users[1_202].pk,
        f"{NEW}-0-role": "member",
    }
    assert superuser.post(address, form).status_code == 302

    group.refresh_from_db()
    roles = dict(group.chatgroupmember_set.values_list("user_id", "role"))
    assert (group.name, len(roles)) == ("Large", 1_200)
    assert roles[users[0].pk] == "admin"
    assert users[1].pk not in roles
    assert {users[1_199].pk, users[1_202].pk} <= roles.keys()


def test_the_page_of_a_large_group_does_not_ask_for_each_member(
    superuser: Client, statements: list[str]
) -> None:
    group = make_group(make_users(200))
    statements.clear()

    page(superuser.get(f"{GROUPS}{group.pk}/change/"))

    assert len(statements) < 10


def test_all_members_are_found_by_the_beginning_of_their_name(superuser: Client) -> None:
    users = make_users(60)
    group = make_group(users)
    other = make_group(users[:1], "Other")

    def found(**query: object) -> list[str]:
        ids = listed(superuser.get(MEMBERS, query))
        members = ChatGroupMember.objects.in_bulk(ids)
        assert all(member.group_id == query["group"] for member in members.values())
        return [members[i].user.username for i in ids]

    assert f"{MEMBERS}?group={group.pk}" in page(superuser.get(f"{GROUPS}{group.pk}/change/"))
    assert len(found(group=group.pk)) == 50
    assert found(group=group.pk, q="user0003") == ["user0003"]
    assert found(group=group.pk, q="user005") == [f"user{n:04}" for n in range(59, 49, -1)]
    assert found(group=other.pk) == ["user0000"]
    assert found(group=other.pk, q="ser") == []


def test_members_are_removed_from_the_list_of_all(superuser: Client) -> None:
    group = make_group(make_users(3))
    member = group.chatgroupmember_set.get(user__username="user0001")
    form = {"action": "delete_selected", "_selected_action": [member.pk], "post": "yes"}

    response = superuser.post(f"{MEMBERS}?group={group.pk}", form | {"index": "0"}, follow=True)

    assert listed(response)
    assert group.members.count() == 2


@pytest.mark.parametrize(("term", "found"), [("Bo", 2), ("Book club", 1), ("club", 0)])
def test_groups_are_found_by_the_beginning_of_their_name(
    superuser: Client, term: str, found: int
) -> None:
    make_group([])
    make_group([], "Bob's")

    assert len(listed(superuser.get(GROUPS, {"q": term}))) == found


def test_groups_are_found_by_id_and_by_conversation(superuser: Client) -> None:
    group = make_group([])
    make_group([], "Other")

    for term in (str(group.pk), f"g{group.pk}"):
        assert listed(superuser.get(GROUPS, {"q": term})) == [group.pk]


def test_a_group_cannot_be_deleted(superuser: Client) -> None:
    group = make_group([])

    assert superuser.post(f"{GROUPS}{group.pk}/delete/", {"post": "yes"}).status_code == 403
    assert "Delete" not in shown(superuser.get(f"{GROUPS}{group.pk}/change/")).split()


def test_a_name_cannot_turn_the_page(superuser: Client) -> None:
    make_group([], "a\u202eb<b>")

    markup = page(superuser.get(GROUPS))

    assert "\u202e" not in markup
    assert "U+202E</span>b&lt;b&gt;" in markup


def test_users_are_chosen_by_typing_the_beginning_of_their_name(superuser: Client) -> None:
    make_users(30)
    query = {"app_label": "messaging", "model_name": "chatgroupmember", "field_name": "user"}

    answer = superuser.get(AUTOCOMPLETE, query | {"term": "user000"}).json()

    assert [match["text"] for match in answer["results"]] == [f"user{n:04}" for n in range(10)]
    assert answer["pagination"] == {"more": False}

    everybody = superuser.get(AUTOCOMPLETE, query | {"term": ""}).json()

    assert len(everybody["results"]) == 20
    assert everybody["pagination"] == {"more": False}


def test_users_are_listed_and_found(superuser: Client) -> None:
    users = make_users(3)

    assert listed(superuser.get(USERS, {"q": "user0001"})) == [users[1].pk]
    assert len(listed(superuser.get(USERS, {"is_staff__exact": "0"}))) == 3
    assert superuser.get(USERS, {"password__startswith": "x"}).status_code == 400
