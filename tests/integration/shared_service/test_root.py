"""Test the answer at the root address of the service."""

from __future__ import annotations

from tests.support.service import Service, at_both_doors

pytestmark = at_both_doors()


def test_says_what_it_is_and_where_to_go_on(service: Service) -> None:
    answer = service.anybody.get("/")
    assert answer.status == 200
    assert answer.data == {
        "service": "IM message service",
        "documentation": "README.md, README.zh-CN.md",
        "api": "/api/",
        "health": "/api/health",
        "admin": "/admin/",
    }
    assert service.anybody.get(answer.data["health"]).status == 200


def test_takes_nothing_but_questions(service: Service) -> None:
    assert service.anybody.post("/", {}).status == 405
