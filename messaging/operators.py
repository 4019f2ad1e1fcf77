"""Make the group "operators", whose users look after messages without being superusers.

The group is made once, after a migration: later changes by the site stay. Nobody can do more to a
message in the admin than view it. "Change" on a pending message or a dead letter permits actions.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps as current_apps
from django.apps.registry import Apps
from django.db.models import Q

OPERATORS = "operators"
PERMISSIONS = (
    ("messaging", "view_message"),
    ("messaging", "view_operations"),
    ("messaging", "view_pendingmessage"),
    ("messaging", "change_pendingmessage"),
    ("messaging", "view_deadletter"),
    ("messaging", "change_deadletter"),
    ("messaging", "view_auditrun"),
    ("messaging", "view_chatgroup"),
    ("messaging", "view_chatgroupmember"),
    ("messaging", "view_userblock"),
    ("auth", "view_user"),  # messages name their people by id
)


def create_operators(*, using: str, apps: Apps = current_apps, **_: Any) -> None:
    """Make the group with its permissions, unless the group exists.

    Safe to repeat.
    Order: receives `post_migrate` after the receiver that makes the permissions themselves.
    """
    try:
        groups = apps.get_model("auth", "Group").objects.using(using)
        permissions = apps.get_model("auth", "Permission").objects.using(using)
    except LookupError:
        return  # a migration of the past, before there was any group
    group, created = groups.get_or_create(name=OPERATORS)
    if not created:
        return
    wanted = Q()
    for app, codename in PERMISSIONS:
        wanted |= Q(content_type__app_label=app, codename=codename)
    group.permissions.set(permissions.filter(wanted))
