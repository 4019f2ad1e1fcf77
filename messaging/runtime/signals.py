"""Publish changes of users, groups and blocks in Django's tables to all processes after the commit.

A new password or a lock-out also ends the user's tokens. A new name is also kept folded.

The functions here receive Django's signals as soon as `apps` imports them. A write past the models
(`update`, `bulk_create`, SQL) sends no signal: other processes notice the write when the entries
of their directories expire.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from functools import partial
from typing import Any

from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction
from django.db.models.signals import ModelSignal, m2m_changed, post_delete, post_save, pre_save
from django.dispatch import receiver

from messaging import sessions, user_names
from messaging.domain.backend_errors import CacheUnavailable
from messaging.domain.changes import (
    AnythingChanged,
    BlockChanged,
    Change,
    GroupChanged,
    MemberChanged,
    TokensEnded,
    UserChanged,
)
from messaging.models import ChatGroup, ChatGroupMember, Profile, UserBlock, UserTokens
from messaging.runtime import wiring

logger = logging.getLogger(__name__)

COMPARED = frozenset({"username", "password", "is_active"})
PUBLISHED_ONE_BY_ONE = 1_000  # changes of one transaction; more are published as `AnythingChanged`


class _Noted(threading.local):
    """Hold this thread's unpublished changes by database.

    Changes of a transaction that was rolled back stay, and are published with the next commit. Each
    costs the other processes a look-up or two. A refusal among those changes (a lock-out, an end
    of tokens, a block) holds in a process until its look-up, and no longer.
    """

    def __init__(self) -> None:
        self.changes: defaultdict[str, set[Change]] = defaultdict(set)


_noted = _Noted()


@receiver(pre_save, sender=get_user_model())
def compare_user(
    *, instance: Any, using: str, update_fields: frozenset[str] | None = None, **_: Any
) -> None:
    """Note on a user about to be saved whether the save changes the name or ends the tokens.

    A new password and a lock-out end the tokens.

    Raises: IntegrityError for a name that another user bears.
    """
    saved = COMPARED if update_fields is None else COMPARED & update_fields
    instance.ends_tokens = instance.has_new_name = False
    if not saved:
        return
    users = get_user_model().objects.using(using).filter(pk=instance.pk)
    stored = users.values(*COMPARED).first() if instance.pk is not None else None
    changed = {each for each in saved if stored is None or stored[each] != getattr(instance, each)}
    instance.has_new_name = "username" in changed
    if stored is not None:
        is_locked_out = "is_active" in changed and not instance.is_active
        instance.ends_tokens = "password" in changed or is_locked_out
    if instance.has_new_name and user_names.is_taken(
        instance.username, besides=instance.pk or 0, using=using
    ):
        raise IntegrityError("this user name is taken, in another spelling (case or width)")


@receiver(post_save, sender=get_user_model())
def keep_user(*, instance: Any, using: str, **_: Any) -> None:
    """Keep a new name folded, and end all tokens after a new password or a lock-out."""
    if instance.has_new_name:
        user_names.keep(instance.pk, instance.username, using=using)
    if instance.ends_tokens:
        sessions.end_all(instance.pk, using=using)
    instance.ends_tokens = instance.has_new_name = False


@receiver(post_save, sender=UserTokens)
def note_tokens(*, instance: UserTokens, using: str, **_: Any) -> None:
    _note(TokensEnded(instance.user_id, instance.generation, tuple(instance.ended)), using)


@receiver((post_save, post_delete), sender=get_user_model())
def note_user(
    *,
    instance: Any,
    using: str,
    signal: ModelSignal,
    update_fields: frozenset[str] | None = None,
    **_: Any,
) -> None:
    if update_fields is None or "is_active" in update_fields:  # a login writes another field
        is_locked_out = signal is post_delete or not instance.is_active
        _note(UserChanged(instance.pk, is_locked_out), using)


@receiver(post_save, sender=Profile)
def note_profile(*, instance: Profile, using: str, **_: Any) -> None:
    _note(UserChanged(instance.user_id), using)


@receiver((post_save, post_delete), sender=ChatGroup)
def note_group(*, instance: ChatGroup, using: str, **_: Any) -> None:
    _note(GroupChanged(instance.pk), using)


@receiver((post_save, post_delete), sender=ChatGroupMember)
def note_member(*, instance: ChatGroupMember, using: str, **_: Any) -> None:
    _note(MemberChanged(instance.group_id, instance.user_id), using)


@receiver(m2m_changed, sender=ChatGroup.members.through)
def note_members(
    *, instance: Any, action: str, reverse: bool, pk_set: set[int] | None, using: str, **_: Any
) -> None:
    """Note members added by `group.members` or `user.chat_groups`, which saves no model."""
    if action == "post_add":
        for pk in pk_set or ():
            group_id, user_id = (pk, instance.pk) if reverse else (instance.pk, pk)
            _note(MemberChanged(group_id, user_id), using)


@receiver((post_save, post_delete), sender=UserBlock)
def note_block(*, instance: UserBlock, using: str, signal: ModelSignal, **_: Any) -> None:
    is_blocked = signal is post_save
    _note(BlockChanged(instance.blocker_id, instance.blocked_id, is_blocked), using)


def _note(change: Change, using: str) -> None:
    """Note a change, and publish it after the commit.

    Each change registers one publication; the first one after a commit publishes all changes.
    """
    noted = _noted.changes[using]
    if len(noted) <= PUBLISHED_ONE_BY_ONE:  # past it `AnythingChanged` covers all further changes
        noted.add(change)
    transaction.on_commit(partial(_publish, using), using=using)


def _publish(using: str) -> None:
    changes = _noted.changes.pop(using, None)
    if not changes:
        return
    if len(changes) > PUBLISHED_ONE_BY_ONE:
        changes = {AnythingChanged()}
    try:
        wiring.publish_changes(list(changes))
    except CacheUnavailable:
        logger.warning(
            "other processes did not get a change; they learn of it within IM_IDENTITY_TTL_S",
            extra={"action": "changes.not_published", "count": len(changes)},
        )
