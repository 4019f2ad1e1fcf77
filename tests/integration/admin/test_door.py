"""Test the addresses of the admin, and the resources that its pages may load."""

from __future__ import annotations

import asyncio
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.middleware.security import SecurityMiddleware
from django.test import Client, RequestFactory
from pytest_django import Settings

from imsite.page_policy import HEADER, POLICY
from messaging.domain.errors import PathNotFound
from messaging.gateway.answering import send_error
from messaging.models import ChatGroup
from tests.integration.admin.pages import (
    BLOCKS,
    DEAD_LETTERS,
    GROUPS,
    MEMBERS,
    MESSAGES,
    PENDING,
    USERS,
    page,
)

HSTS = "Strict-Transport-Security"
ADDRESSES = ("/admin", "/admin/", "/admin/login/", USERS, "/admin/nothing")
INLINE = re.compile(r"<script(?![^>]* src=)(?![^>]*application/json)|<style|\son[a-z]+=|\sstyle=")


@pytest.mark.parametrize("address", ADDRESSES)
def test_the_admin_can_be_off(superuser: Client, settings: Settings, address: str) -> None:
    settings.ADMIN = False
    assert superuser.get(address).status_code == 404
    assert superuser.post(address).status_code == 404
    assert superuser.get("/api/health").status_code == 200


@pytest.mark.parametrize("address", ADDRESSES[1:-1])
def test_the_admin_can_have_a_host_of_its_own(
    superuser: Client, settings: Settings, address: str
) -> None:
    settings.ADMIN_HOSTS = ["desk.example.org", ".internal"]
    for host in ("desk.example.org", "DESK.example.org:8443", "a.internal"):
        assert superuser.get(address, headers={"host": host}).status_code in (200, 302)
    for host in ("chat.example.org", "desk.example.org.evil.org", "127.0.0.1:8082"):
        assert superuser.get(address, headers={"host": host}).status_code == 404
        forwarded = {"host": host, "x-forwarded-host": "desk.example.org"}
        assert superuser.get(address, headers=forwarded).status_code == 404


def test_no_page_needs_what_the_policy_forbids(superuser: Client) -> None:
    user = User.objects.create_user("alice", password="blue kettle 42")
    group = ChatGroup.objects.create(name="Demo")
    group.members.add(user)
    for address in (
        *("/admin/", "/admin/password_change/", USERS, f"{USERS}add/", f"{USERS}{user.pk}/change/"),
        *(f"{USERS}{user.pk}/password/", f"{USERS}{user.pk}/delete/", f"{USERS}{user.pk}/history/"),
        *(GROUPS, f"{GROUPS}add/", f"{GROUPS}{group.pk}/change/", f"{MEMBERS}?group={group.pk}"),
        *(MESSAGES, f"{MESSAGES}?q=1_2", PENDING, DEAD_LETTERS, BLOCKS, "/admin/auth/group/add/"),
    ):
        response = superuser.get(address)
        assert response.headers[HEADER] == POLICY
        assert response.headers["Referrer-Policy"] == "same-origin"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert INLINE.findall(page(response)) == [], address


def test_the_policy_is_on_pages_alone(configured: None) -> None:
    client = Client()
    for address in ("/admin/login/", "/nothing"):
        assert client.get(address).headers[HEADER] == POLICY
    assert HEADER not in client.get("/api/health").headers


@pytest.mark.parametrize("reaches_far", [False, True])
def test_both_doors_tell_the_same_hsts(settings: Settings, reaches_far: bool) -> None:
    settings.SECURE_HSTS_SECONDS = 60
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = settings.SECURE_HSTS_PRELOAD = reaches_far
    request = RequestFactory().get("/", secure=True)
    told = SecurityMiddleware(lambda _: HttpResponse())(request).headers[HSTS]
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    asyncio.run(send_error(PathNotFound(), b"", send))
    assert dict(sent[0]["headers"])[HSTS.lower().encode()] == told.encode()


def test_hsts_binds_this_host_alone_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def told() -> tuple[object, ...]:
        read = runpy.run_path(str(Path(django_settings.BASE_DIR) / "imsite" / "settings.py"))
        names = ("SECONDS", "INCLUDE_SUBDOMAINS", "PRELOAD")
        return tuple(read[f"SECURE_HSTS_{name}"] for name in names)

    monkeypatch.setenv("VAR_DIR", str(tmp_path))
    monkeypatch.setenv("IM_HTTPS", "on")
    assert told() == (3_600, False, False)
    monkeypatch.setenv("IM_HSTS_INCLUDE_SUBDOMAINS", "on")
    monkeypatch.setenv("IM_HSTS_PRELOAD", "on")
    assert told() == (3_600, True, True)
