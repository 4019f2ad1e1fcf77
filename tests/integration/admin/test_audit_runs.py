"""Test the list of the scheduled audits in the admin."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from messaging.models import AuditRun
from tests.integration.admin.pages import AUDIT_RUNS, listed, page, shown

STARTED = datetime(2026, 11, 29, 3, 17, tzinfo=UTC)


def kept(**given: Any) -> AuditRun:
    values = {
        "scope": "nightly",
        "started_at": STARTED,
        "ended_at": STARTED + timedelta(minutes=4, seconds=5),
        "outcome": "clean",
        "unaccounted": 0,
    }
    return AuditRun.objects.create(**values | given)


def test_the_list_tells_what_each_audit_has_found(desk: Client) -> None:
    clean = kept()
    faulty = kept(outcome="faulty", unaccounted=1_002, findings={"unaccounted": 1_002, "seq": 3})
    incomplete = kept(outcome="incomplete", unaccounted=None, missing=["log"], scope="hourly")
    answer = desk.get(AUDIT_RUNS)
    text = shown(answer)
    assert listed(answer) == [incomplete.pk, faulty.pk, clean.pk]
    began = "2026-11-29 03:17:00 4 min 5 s"
    assert f"{clean.pk} nightly {began} clean 0 – –" in text
    assert f"{faulty.pk} nightly {began} faulty 1,002 unaccounted: 1,002, seq: 3 –" in text
    assert f"{incomplete.pk} hourly {began} incomplete – – log" in text


def test_the_list_is_filtered_by_scope_alone(desk: Client) -> None:
    nightly, hourly = kept(), kept(scope="hourly")
    assert listed(desk.get(AUDIT_RUNS, {"scope": "nightly"})) == [nightly.pk]
    assert listed(desk.get(AUDIT_RUNS, {"scope": "hourly"})) == [hourly.pk]
    assert desk.get(AUDIT_RUNS, {"outcome__contains": "clean"}).status_code == 400


def test_the_page_speaks_chinese(desk: Client) -> None:
    row = kept()
    answer = desk.get(AUDIT_RUNS, headers={"Accept-Language": "zh-CN"})
    assert f"{row.pk} 每夜 2026-11-29 03:17:00 4 min 5 s 一致 0 – –" in shown(answer)
    assert "下落不明的消息" in shown(answer)


@pytest.mark.parametrize("verb", ["add", "change", "delete"])
def test_nobody_changes_a_run(superuser: Client, verb: str) -> None:
    row = kept()
    path = "add/" if verb == "add" else f"{row.pk}/{verb}/"
    assert superuser.post(f"{AUDIT_RUNS}{path}", {"outcome": "faulty"}).status_code == 403
    assert AuditRun.objects.get().outcome == "clean"


def test_one_run_is_shown_to_those_who_may_see_runs(configured: None) -> None:
    row, client = kept(), Client()
    user = User.objects.create_user("sam", is_staff=True)
    client.force_login(user)
    assert client.get(f"{AUDIT_RUNS}{row.pk}/change/").status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_auditrun"))
    page(client.get(f"{AUDIT_RUNS}{row.pk}/change/"))
