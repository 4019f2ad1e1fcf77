"""Who bears a user name: names that fold alike are one name. Blocking.

`signals` keeps the folded names as users are saved. Users from before who share one keep their
names; the first of them bears the folded one.
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
    """Keep that a user bears this name. Raises IntegrityError where another one does."""
    UserName.objects.using(using).update_or_create(user_id=user_id, defaults={"folded": fold(name)})


def as_stored(typed: str) -> str:
    """Return the name of the user who is called so, exactly or else when folded."""
    if get_user_model().objects.filter(username=typed).exists():
        return typed
    bearers = UserName.objects.filter(folded=fold(typed))
    return bearers.values_list("user__username", flat=True).first() or typed
