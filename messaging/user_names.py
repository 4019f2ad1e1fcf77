"""Tell which user bears a name, where names that fold alike are one name.

Calls block. `signals` keeps the folded names as users are saved. Older users who share a folded
name keep their own names; the first of these users bears the folded name.
"""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.db import DEFAULT_DB_ALIAS

from messaging.domain.names import fold
from messaging.models import UserName


def is_taken(name: str, *, besides: int = 0, using: str = DEFAULT_DB_ALIAS) -> bool:
    """Tell whether another user than `besides` bears this name, in whatever case."""
    bearers = UserName.objects.using(using).filter(folded=fold(name)).exclude(user_id=besides)
    return bearers.exists()


def keep(user_id: int, name: str, *, using: str) -> None:
    """Store the folded form of the name that a user bears.

    Raises: IntegrityError where another user bears the name.
    """
    UserName.objects.using(using).update_or_create(user_id=user_id, defaults={"folded": fold(name)})


def as_stored(typed: str) -> str:
    """Return the stored name of the user with this name, exact or else folded.

    Return the name as typed where no user has it.
    """
    if get_user_model().objects.filter(username=typed).exists():
        return typed
    bearers = UserName.objects.filter(folded=fold(typed))
    return bearers.values_list("user__username", flat=True).first() or typed
