"""Print a report as lines for people, or as a document for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from operator import attrgetter
from typing import Any

from messaging.doctor.verdicts import Report, State

INDENT = "        "
MOST_NAMED = 3  # checks that were not made for the same reason


def document_of(report: Report) -> dict[str, Any]:
    """Return the report for JSON."""
    return {
        "state": report.state,
        "findings": [asdict(finding) for finding in report.findings],
        "leftOut": [asdict(each) for each in report.left_out],
    }


def lines(report: Report) -> Iterator[str]:
    """Yield the report, area by area, each remedy on a line of its own, and the sums at the end."""
    width = max((len(finding.check) for finding in report.findings), default=0)
    areas = [*(each.area for each in report.findings), *(each.area for each in report.left_out)]
    for area in dict.fromkeys(areas):
        yield area
        for finding in (each for each in report.findings if each.area == area):
            yield f"  {finding.state:<4}  {finding.check:<{width}}  {finding.found}"
            if finding.remedy:
                yield f"{INDENT}{'':<{width}}  {finding.remedy}"
        left = [each for each in report.left_out if each.area == area]
        for reason, those in groupby(left, key=attrgetter("reason")):
            names = [each.check for each in those]
            told = ", ".join(names) if len(names) <= MOST_NAMED else f"{len(names)} more checks"
            yield f"  –     {told}: not made, as {reason}"
        yield ""
    yield _sums(report)


def _sums(report: Report) -> str:
    counts = Counter(finding.state for finding in report.findings)
    sums = [f"{counts[state]} {state}" for state in State if counts[state]]
    if report.left_out:
        sums.append(f"{len(report.left_out)} not made")
    return ", ".join(sums) or "no check applies to this instance"
