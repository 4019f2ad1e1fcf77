"""People at the admin site, and rows for them to look at."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from messaging.operators import OPERATORS


@pytest.fixture
def operator(configured: None) -> User:
    user = User.objects.create_user("olga", is_staff=True)
    user.groups.add(Group.objects.get(name=OPERATORS))
    return user


@pytest.fixture
def desk(operator: User) -> Client:
    """The admin site as an operator uses it."""
    client = Client()
    client.force_login(operator)
    return client


@pytest.fixture
def superuser(configured: None) -> Client:
    """The admin site as a superuser uses it."""
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client
