"""The admin site: a person looks at messages, and mends what is pending or a dead letter.

A door like the API: it reads rows through the models, and reaches Redis, the log and every change
to a message through the use cases. Who may do what is Django's permissions; `messaging.operators`
makes a group of them.
"""

from __future__ import annotations

from django.contrib import admin

from messaging.admin import blocks, dead_letters, groups, messages, pending, users

__all__ = ["blocks", "dead_letters", "groups", "messages", "pending", "users"]

admin.site.site_header = "IM site administration"
admin.site.site_title = "IM site"
admin.site.index_title = "Messages and users"
admin.site.enable_nav_sidebar = False  # it would take the width that the lists need
admin.site.site_url = None  # there is no page for people but this one
