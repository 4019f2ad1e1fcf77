"""Look at the operations page in a real browser: well, during an outage, without the exporter."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from messaging.admin.operations_texts import PLOTS, Text
from tests.support.browser import WAIT_MS, browsing, complaints_of, photograph
from tests.support.processes import frozen
from tests.support.service import User
from tests.support.site import Site

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.timeout(600),
    pytest.mark.parametrize("site", ["embedded"], indirect=True),
]
PAGE = "/admin/messaging/operations/"
CANARY = "canary-71fe02"


@contextmanager
def traffic(alice: User, bob: User) -> Iterator[None]:
    """Let one user write to another during the block; no outage fails a send."""
    over = threading.Event()

    def keep_sending() -> None:
        while not over.wait(0.05):
            assert alice.send(bob, CANARY).status == 200

    thread = threading.Thread(target=keep_sending)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def opened(site: Site, context: BrowserContext) -> Page:
    """Return the page as an operator of the group sees it, whose first look has arrived."""
    name, password = f"op-{secrets.token_hex(4)}", secrets.token_urlsafe(16)
    site.manage(
        "shell",
        "--command",
        "from django.contrib.auth.models import Group, User\n"
        f"user = User.objects.create_user({name!r}, password={password!r}, is_staff=True)\n"
        "user.groups.add(Group.objects.get(name='operators'))",
    )
    page = context.new_page()
    page.goto(f"{site.service.environment['IM_SITE_URL']}/admin/login/?next={PAGE}")
    page.fill("#id_username", name)
    page.fill("#id_password", password)
    page.click("input[type=submit]")
    page.wait_for_selector(".uplot canvas")
    return page


def test_shows_a_site_that_is_well(site: Site, alice: User, bob: User) -> None:
    with browsing() as context, traffic(alice, bob):
        page = opened(site, context)
        complaints = complaints_of(page)
        expect(page.locator("#im-status")).to_have_text(Text.WELL.value, timeout=WAIT_MS)
        expect(page.locator("#im-tile-stored")).to_have_text(re.compile("^[1-9]"), timeout=WAIT_MS)
        for name in PLOTS:
            assert page.locator(f"#im-plot-{name} canvas").count() == 1, name
        expect(page.locator("#im-now-answers")).to_have_text(
            re.compile(r"median: [\d.]+ ms, 99th percentile: [\d.]+ ms"), timeout=WAIT_MS
        )
        expect(page.locator("#im-tile-letters")).to_have_text(re.compile(r"^\d"), timeout=WAIT_MS)
        assert not page.is_visible("#im-notice")
        photograph(page, "operations-well")
        assert CANARY not in page.content()
        assert not complaints
        page.reload()
        page.wait_for_selector("#im-plot-answers canvas")
        newest = page.locator("#im-plot-answers .u-legend .u-value").first.inner_text()
        assert re.fullmatch(r"\d\d:\d\d:\d\d", newest), "the first drawing has values"


def test_shows_an_outage_what_still_works_and_its_end(site: Site, alice: User, bob: User) -> None:
    with browsing(language="zh-CN") as context, traffic(alice, bob):
        page = opened(site, context)
        status = page.locator("#im-status")
        expect(status).to_have_text("Redis、日志和数据库均有应答；发送可被接受。", timeout=WAIT_MS)
        with frozen(site.service.pid("redis")):
            expect(status).to_have_attribute("data-status", "degraded", timeout=WAIT_MS)
            expect(status).to_contain_text("秒：Redis", timeout=WAIT_MS)
            expect(status).to_contain_text("发送可被接受，由数据库确认", timeout=WAIT_MS)
            expect(page.locator("#im-tile-pending")).to_have_text("–", timeout=WAIT_MS)
            expect(page.locator("#im-now-breakers")).to_have_text(
                re.compile("^Redis: [1-9]"), timeout=WAIT_MS
            )
            photograph(page, "operations-outage")
        expect(status).to_have_attribute("data-status", "ok", timeout=WAIT_MS)


def test_tells_an_outage_without_the_exporter(site: Site) -> None:
    with browsing() as context:
        page = opened(site, context)
        with site.without("exporter"):
            notice = page.locator("#im-notice")
            expect(notice).to_have_text(Text.AWAY.value, timeout=WAIT_MS)
            expect(page.locator("#im-status")).to_have_text(Text.WELL.value, timeout=WAIT_MS)
            with frozen(site.service.pid("redis")):
                expect(page.locator("#im-status")).to_contain_text("Redis", timeout=WAIT_MS)
            photograph(page, "operations-no-exporter")
        expect(notice).to_be_hidden(timeout=WAIT_MS)


def test_is_used_by_the_keyboard_and_read_by_screen_readers(site: Site) -> None:
    with browsing() as context:
        page = opened(site, context)
        page.locator("#im-pause").focus()
        page.keyboard.press("Enter")
        assert page.get_attribute("#im-pause", "aria-pressed") == "true"
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == Text.AS_TABLE.value
        page.keyboard.press("Enter")
        table = page.locator(f"#im-table-{PLOTS[0]}")
        expect(table.locator("th").first).to_have_text(Text.TIME.value, timeout=WAIT_MS)
        assert table.locator("td").count() >= 4
        assert page.get_attribute("#im-status", "role") == "status"
        for name in PLOTS:
            labels = page.get_attribute(f"#im-plot-{name}", "aria-labelledby") or ""
            assert all(page.inner_text(f"#{each}") for each in labels.split()), name


def test_a_pause_asks_nothing(site: Site) -> None:
    with browsing() as context:
        page = opened(site, context)
        page.click("#im-pause")
        page.wait_for_load_state("networkidle")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.wait_for_timeout(5_000)
        assert asked == []
        with page.expect_request(re.compile(r"/state/\?after=\d+")):
            page.click("#im-pause")


def test_fits_a_phone(site: Site) -> None:
    with browsing(width=360) as context:
        page = opened(site, context)
        photograph(page, "operations-phone")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_examines_the_site_at_the_push_of_a_button(site: Site) -> None:
    with browsing() as context:
        page = opened(site, context)
        page.click(f"text={Text.DOCTOR_TITLE.value}")
        assert page.locator("#result_list").count() == 0
        page.click(f"text={Text.DOCTOR_RUN.value}")
        expect(page.locator("#im-sums")).to_have_text(
            re.compile(r"FAIL: \d+, WARN: \d+, OK: [1-9]"), timeout=WAIT_MS
        )
        row = page.locator("tr", has_text="append-only file")
        expect(row.locator("td").first).to_have_text("OK")
        hidden = "(box) => box.scrollHeight - box.clientHeight"
        assert page.locator("#content-main .results").evaluate(hidden) <= 0, "all rows show"
        photograph(page, "doctor")


def test_is_not_for_everybody(site: Site) -> None:
    assert site.page(PAGE).status == 302
    assert site.page(f"{PAGE}state/").status == 302
    assert site.page(f"{PAGE}doctor/").status == 302
