"""Run the services that the acceptance tests share, and keep their tests in one process."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.support.processes import choose_redis_port, running_service
from tests.support.real_services import connected
from tests.support.service import User
from tests.support.site import Site

OWN_LOG = {
    "IM_TOPIC": "im-message-acceptance",
    "IM_DEAD_LETTER_TOPIC": "im-message-acceptance-dead-letter",
    "IM_CONSUMER_GROUP": "im-message-acceptance",
}


class ByStack(LoadScopeScheduling):
    """Keep the tests of one stack in one process of pytest-xdist, and those of each other file.

    So each stack is started once, and no two processes consume the log of the full stack.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        stack = re.search(r"\[(embedded|full)\b", test)
        return stack[1] if stack else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByStack:
    return ByStack(config, log)


@pytest.fixture(
    scope="session",
    params=["embedded", pytest.param("full", marks=pytest.mark.connected)],
)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Run `scripts/run`, and `scripts/run full` on a topic of its own, which nobody else consumes.

    The database and Redis of the full stack are those of scripts/services, so each test needs users
    of its own. Two web processes run, whatever machine this is.
    """
    arguments, variables = [], {"WEB_WORKERS": "2"}
    if request.param == "full":
        connected("IM_DATABASE_URL")
        arguments, variables = ["full"], variables | OWN_LOG
    var_dir = tmp_path_factory.mktemp(request.param) / "var"
    if request.param == "embedded":
        choose_redis_port(var_dir)
    with running_service(var_dir, *arguments, **variables) as service:
        yield Site(service)


@pytest.fixture
def pair(site: Site) -> tuple[User, User]:
    """Return two users who have never written to each other, though maybe to others."""
    return next(site.pairs)


@pytest.fixture
def alice(pair: tuple[User, User]) -> User:
    return pair[0]


@pytest.fixture
def bob(pair: tuple[User, User]) -> User:
    return pair[1]
