"""Open the admin site as an operator and as a superuser, with rows to look at."""

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
    """Return a client of the admin site that is logged in as an operator."""
    client = Client()
    client.force_login(operator)
    return client


@pytest.fixture
def superuser(configured: None) -> Client:
    """Return a client of the admin site that is logged in as a superuser."""
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client
