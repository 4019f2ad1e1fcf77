"""Let an operator run the doctor from the admin, by the examination that `manage.py doctor` makes.

The findings are in English, as the command prints them: a remedy is a command to copy.
"""

from __future__ import annotations

import threading
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from messaging.admin.operations_texts import words
from messaging.doctor.examination import examine
from messaging.doctor.verdicts import Report
from messaging.domain.errors import TooManyRequests
from messaging.models import Operations

_examining = threading.Lock()  # in this process: each examination opens connections


def doctor_page(request: HttpRequest) -> HttpResponse:
    """Show the button; after a POST also what the doctor has found.

    Raises: TooManyRequests while another request of this process examines.
    """
    texts = words()
    context = {
        **admin.site.each_context(request),
        "opts": Operations._meta,
        "title": texts["doctor_title"],
        "words": texts,
        "report": _told(_examined()) if request.method == "POST" else None,
    }
    return TemplateResponse(request, "admin/messaging/operations/doctor.html", context)


def _examined() -> Report:
    if not _examining.acquire(blocking=False):
        raise TooManyRequests
    try:
        return examine()
    finally:
        _examining.release()


def _told(report: Report) -> dict[str, Any]:
    """Return the report for the template: worst findings first, then by area."""
    order = ("FAIL", "WARN", "OK")
    return {
        "findings": sorted(report.findings, key=lambda each: order.index(each.state)),
        "left_out": report.left_out,
        "counts": [
            (state, sum(each.state == state for each in report.findings)) for state in order
        ],
    }
