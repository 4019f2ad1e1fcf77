"""Check that each alert leads to a section of the runbook that names a command of this project."""

from __future__ import annotations

import re

import pytest
from django.core.management import get_commands

from tests.support.monitoring import alerts
from tests.support.real_services import ROOT

RUNBOOK = "docs/runbook.md"
TEXT = (ROOT / RUNBOOK).read_text()
CODE = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ALERTS = sorted({rule["alert"] for rule in alerts()})


def sections() -> dict[str, str]:
    """Return the text of each section by its heading."""
    starts = [*re.finditer(r"^## (.+)$", TEXT, re.MULTILINE)]
    ends = [each.start() for each in starts[1:]] + [len(TEXT)]
    return {each[1]: TEXT[each.end() : end] for each, end in zip(starts, ends, strict=True)}


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_the_address_of_an_alert_is_its_section(rule: dict[str, dict[str, str]]) -> None:
    """The anchor of a heading is the heading in lower case."""
    assert rule["annotations"]["runbook_url"] == f"{RUNBOOK}#{str(rule['alert']).lower()}"


@pytest.mark.parametrize("alert", ALERTS)
def test_a_section_names_commands_and_the_end(alert: str) -> None:
    section = sections()[alert]
    assert [line for block in CODE.findall(section) for line in block.splitlines()]
    assert re.search(r"^Over ", section, re.MULTILINE)


def test_every_link_leads_to_a_section_or_a_file() -> None:
    anchors = {f"#{name.lower()}" for name in sections()}
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert links
    assert not [
        link for link in links if link not in anchors and not (ROOT / "docs" / link).is_file()
    ]


def test_every_command_of_the_project_exists() -> None:
    code = "\n".join(CODE.findall(TEXT))
    named = set(re.findall(r"manage\.py (\w+)", code))
    assert "audit" in named
    assert named <= set(get_commands())
    scripts = set(re.findall(r"scripts/\w+", code))
    assert scripts
    assert all((ROOT / script).is_file() for script in scripts)


def test_no_command_names_a_port() -> None:
    """`var/env` has the addresses of the running site, on whatever ports the site was started."""
    code = "\n".join(CODE.findall(TEXT))
    assert "$IM_EXPORTER_URL/metrics" in code
    assert not re.findall(r":\d{4}\b", code)


def test_supervisorctl_is_asked_for_programs_of_the_site_that_it_can_tell_of() -> None:
    """The supervisor keeps no output of a program, so `tail` finds none."""
    code = "\n".join(CODE.findall(TEXT))
    programs = set(re.findall(r"program (\w+) \d+", (ROOT / "scripts/run").read_text()))
    asked = re.findall(r"supervisorctl -c \S+ (\w+)([ \w]*?)(?: *#.*)?$", code, re.MULTILINE)
    assert "consumer" in programs
    assert {verb for verb, _ in asked} == {"status", "start", "restart"}
    assert {name for _, names in asked for name in names.split()} <= programs


def test_there_is_one_section_for_each_alert_in_the_order_of_the_rules() -> None:
    assert list(sections()) == list(dict.fromkeys(rule["alert"] for rule in alerts()))
