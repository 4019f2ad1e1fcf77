"""Serve the admin site: a person inspects messages, and settles pending ones and dead letters.

The admin is a door like the API. Rows are read through the models. Redis, the log and every change
to a message are reached through the use cases. Django's permissions decide who may do what;
`messaging.operators` makes a group of them.
"""

from __future__ import annotations

from django.contrib import admin

from messaging.admin import (
    audit_runs,
    blocks,
    dead_letters,
    groups,
    messages,
    operations,
    pending,
    users,
)

__all__ = [
    "audit_runs",
    "blocks",
    "dead_letters",
    "groups",
    "messages",
    "operations",
    "pending",
    "users",
]

admin.site.site_header = "IM site administration"
admin.site.site_title = "IM site"
admin.site.index_title = "Messages and users"
admin.site.enable_nav_sidebar = False  # the sidebar would take the width that the lists need
admin.site.site_url = None  # there is no page for people but this one
