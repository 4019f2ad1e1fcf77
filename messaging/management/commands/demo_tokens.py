"""Run `manage.py demo_tokens`: make users to try the service, for scripts/run in development."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from messaging.domain.ids import group_conversation
from messaging.models import ChatGroup, ChatGroupMember, Participant
from messaging.sessions import access_token

FIXTURE = settings.BASE_DIR / "fixtures" / "demo.json"
NAMES = ("alice", "bob")


class Command(BaseCommand):
    help = (
        "`source var/env && .venv/bin/python manage.py demo_tokens` prints an access token for "
        "each demo user, as shell assignments. The command loads fixtures/demo.json if neither "
        "the demo users nor any group exist yet. The command refuses to run in production."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError(
                "there are no demo users in production (IM_ENV): register users instead"
            )
        users = User.objects.filter(username__in=NAMES)
        if not users.exists() and not ChatGroup.objects.exists():
            _load()
        for user in users.order_by("id"):
            name = user.username.upper()
            self.stdout.write(f"{name}_ID={user.pk}")
            self.stdout.write(f"{name}={access_token(user)}")


@transaction.atomic
def _load() -> None:
    """Load the fixture, and add its participants: the fixture cannot know the ids of its users."""
    call_command("loaddata", FIXTURE, verbosity=0)
    Participant.objects.bulk_create(
        [
            Participant(user_id=member.user_id, conversation_id=group_conversation(member.group_id))
            for member in ChatGroupMember.objects.all()
        ]
    )
