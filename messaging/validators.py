"""Check names in Django's forms and commands by the rules of the API."""

from __future__ import annotations

from collections.abc import Callable

from django.core.exceptions import ValidationError

from messaging.domain import names
from messaging.domain.request_fields import InvalidField


def validate_user_name(name: str) -> None:
    _validate(names.check_user_name, name)


def validate_group_name(name: str) -> None:
    _validate(names.check_group_name, name)


def _validate(check: Callable[[str], None], name: str) -> None:
    try:
        check(name)
    except InvalidField as invalid:
        raise ValidationError(invalid.text.value) from invalid
