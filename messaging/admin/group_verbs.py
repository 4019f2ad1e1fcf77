"""Change groups from the pages of the admin, through the use cases of the API.

The staff user acts for the site, and so stands above the owner. The members read in the group's
notices who has acted.

Raises: ApiError as the use cases do, from every function; `refusals` shows the error as a page.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext

from messaging.domain.changes import GroupChanged
from messaging.domain.errors import OwnerMustHandOver
from messaging.domain.groups import Role
from messaging.models import ChatGroup, ChatGroupMember
from messaging.runtime.wiring import run
from messaging.service import groups
from messaging.service.backends import Backends
from messaging.service.group_rules import Actor
from messaging.service.group_transfer import transfer
from messaging.service.membership_rules import Refusals

T = TypeVar("T")
Verb = Callable[[Backends, Actor], Coroutine[Any, Any, T]]


class OutsideTransactions(ModelAdmin):  # type: ignore[type-arg]
    """Save and delete outside of a transaction of the page.

    The use cases write in transactions of their own, which would wait for that of the page.
    """

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        return self._changeform_view(request, object_id, form_url, extra_context)  # type: ignore[attr-defined]

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return self._delete_view(request, object_id, extra_context)  # type: ignore[attr-defined,no-any-return]


def create(request: HttpRequest, name: str, *, owner_id: int) -> int:
    """Create a group of this owner, and return its id."""
    made = _act(
        request,
        lambda backends, actor: groups.create_group(
            backends, {"name": name}, actor=actor, owner_id=owner_id
        ),
    )
    return made.changed.group.id


def rename(request: HttpRequest, group_id: int, name: str) -> None:
    _act(
        request,
        lambda backends, actor: groups.update(backends, group_id, {"name": name}, actor=actor),
    )


def pin_mode(group_id: int, mode: str | None) -> None:
    """Let the messages of this group be sent in this mode; None: in that of the settings."""
    ChatGroup.objects.filter(pk=group_id).update(mode=mode)
    run(lambda backends: backends.publish([GroupChanged(group_id)]))


def dissolve(request: HttpRequest, group_id: int) -> None:
    _act(request, lambda backends, actor: groups.dissolve(backends, group_id, actor=actor))


def add(request: HttpRequest, group_id: int, members: Iterable[ChatGroupMember]) -> None:
    """Add members with their roles, and name those who could not be added."""
    wanted = {member.user_id: member for member in members}
    if not wanted:
        return
    refused = _act(
        request,
        lambda backends, actor: groups.invite(backends, group_id, list(wanted), actor=actor),
    )
    for user_id, why in refused.items():
        text = f"{wanted.pop(user_id).user}: {gettext(why.default_text())}"
        messages.error(request, text)
    set_roles(request, (each for each in wanted.values() if each.role != Role.MEMBER.value))


def set_roles(request: HttpRequest, members: Iterable[ChatGroupMember]) -> None:
    """Give these members their roles.

    Order: the new owner first, because the old one becomes an administrator by that.
    """
    for member in sorted(members, key=lambda each: each.role != Role.OWNER.value):
        _set_role(request, member)


def remove(request: HttpRequest, members: Iterable[ChatGroupMember]) -> None:
    """Remove members.

    Raises: OwnerMustHandOver where an owner is among the members; the others are removed.
    """
    by_group: dict[int, list[int]] = {}
    for member in members:
        by_group.setdefault(member.group_id, []).append(member.user_id)
    refused = [_remove(request, group_id, user_ids) for group_id, user_ids in by_group.items()]
    if any(refused):
        raise OwnerMustHandOver


def _set_role(request: HttpRequest, member: ChatGroupMember) -> None:
    group_id, user_id, role = member.group_id, member.user_id, Role(member.role)
    if role is Role.OWNER:
        _act(
            request,
            lambda backends, actor: transfer(backends, group_id, user_id, actor=actor),
        )
        return
    _act(
        request,
        lambda backends, actor: groups.set_role(backends, group_id, user_id, role, actor=actor),
    )


def _remove(request: HttpRequest, group_id: int, user_ids: list[int]) -> Refusals:
    return _act(
        request,
        lambda backends, actor: groups.remove(
            backends, group_id, user_ids, bans=False, actor=actor
        ),
    )


def _act(request: HttpRequest, verb: Verb[T]) -> T:
    assert request.user.pk is not None
    actor = Actor(user_id=request.user.pk, is_site=True)
    return run(lambda backends: verb(backends, actor))
