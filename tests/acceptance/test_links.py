"""Test the links to servers that take TLS and known users alone: the right client, and wrong ones.

The servers are those of `scripts/services start --tls`, on ports and data of their own. A wrong
client ends with a typed error in bounded time, and the log gives the reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
from celery import Celery
from django.db import connections
from kombu.exceptions import OperationalError
from pytest_django import DjangoDbBlocker

from imsite.environment import Environment
from messaging.cache import keys
from messaging.cache.change_feed import ChangeListener, publish
from messaging.cache.redis_cache import RedisMessageCache
from messaging.conf import Settings
from messaging.domain.backend_errors import CacheUnavailable, LogUnavailable, StoreUnavailable
from messaging.domain.changes import AnythingChanged, Notice
from messaging.eventlog import create_topics, open_inspector, open_log, open_reader
from messaging.links import TlsFiles, broker_url, complete_log_url, complete_redis_url
from messaging.ports.log import OutgoingRecord
from messaging.store.database import DatabaseStore
from tests.support.processes import ServiceProcesses, clean_environment, processes_of, wait_until
from tests.support.proxy import Proxy
from tests.support.real_services import ROOT, SERVICES_ENV, connected, free_port

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.connected,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]
CALL_TIMEOUT_S = 30.0  # of one call, on a busy machine; each has less by itself
LINKS = {"redis": "IM_REDIS_URL", "kafka": "IM_EVENT_LOG_URL", "mysql": "IM_DATABASE_URL"}
PLAIN_PASSWORD = "p/a+i?n"  # of the account im, where Kafka takes passwords in the clear
WRONG = ("authority", "name", "password", "plaintext")


@dataclass(frozen=True)
class Secured:
    """Hold the addresses that scripts/services has written, and make wrong ones of them."""

    addresses: dict[str, str]
    other_ca: str
    proxies: dict[str, int]  # at a name that is not in the certificate

    @property
    def files(self) -> TlsFiles:
        return TlsFiles(self.addresses["IM_TLS_CA"])

    def wrong(self, link: str, what: str) -> tuple[str, TlsFiles]:
        url, files = self.addresses[LINKS[link]], self.files
        if what == "authority":
            files = TlsFiles(self.other_ca)
        elif what == "name":
            url = f"{url.partition('@')[0]}@127.0.0.2:{self.proxies[link]}{_path(url)}"
        elif what == "password":
            url = url.replace("//im:", "//im:wrong", 1)
        elif what == "plaintext":
            url = url.replace("rediss://", "redis://").replace("kafkas://", "kafka://")
            url = url.replace("?tls=true", "")
        return url, files


def _path(url: str) -> str:
    _, slash, path = url.partition("@")[2].partition("/")
    return slash + path


def _port(url: str) -> int:
    return int(url.partition("@")[2].partition("/")[0].rpartition(":")[2])


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    connected("IM_DATABASE_URL")  # skips where the common services are not started
    var_dir = tmp_path_factory.mktemp("secured") / "var"
    environment = clean_environment(
        VAR_DIR=str(var_dir),
        MARIADB_PORT=str(free_port()),
        REDIS_PORT=str(free_port()),
        KAFKA_PORT=str(free_port()),
        KAFKA_PROPERTIES="sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN\n"
        "listener.name.sasl_ssl.plain.sasl.jaas.config="
        "org.apache.kafka.common.security.plain.PlainLoginModule required "
        f'user_im="{PLAIN_PASSWORD}";',
    )
    script = str(ROOT / "scripts" / "services")
    (var_dir / "services" / "kafka").mkdir(parents=True)
    jars = SERVICES_ENV.parent / "kafka" / "libs"
    (var_dir / "services" / "kafka" / "libs").symlink_to(jars, target_is_directory=True)
    with contextlib.ExitStack() as stack:
        try:
            _run([script, "start", "--tls"], environment)
            lines = (var_dir / "services" / "env").read_text().splitlines()
            pairs = (line.removeprefix("export ").split("=", 1) for line in lines)
            addresses = {name: value.strip("'") for name, value in pairs}
            proxies = {
                link: stack.enter_context(
                    contextlib.closing(
                        Proxy(f"tcp://127.0.0.1:{_port(addresses[name])}", host="127.0.0.2")
                    )
                ).port
                for link, name in LINKS.items()
            }
            other_ca = var_dir / "other.pem"
            new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
            _run([*new, "-subj", "/CN=other", "-keyout", "/dev/null", "-out", str(other_ca)])
            yield Secured(addresses, str(other_ca), proxies)
        finally:
            _run([script, "stop"], environment)
            assert processes_of(var_dir) == {}


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
        env=environment,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(autouse=True)
def sockets_of_the_vendors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Collect as garbage the sockets of failed connections, which kafka-python leaves open."""
    yield
    caplog.get_records("call").clear()  # the errors in the records keep the sockets
    gc.collect()


def settings_of(url: str) -> Settings:
    return Settings(redis_url=url, event_log_url=url, redis_timeout_s=2.0, log_timeout_s=5.0)


def told(caplog: pytest.LogCaptureFixture, *actions: str) -> str:
    """Return the reasons that were logged."""
    found = [r for r in caplog.records if r.__dict__.get("action") in actions]
    return " | ".join(str(record.__dict__.get("reason")) for record in found)


async def refusal(call: Callable[[], Awaitable[Any]], error: type[Exception]) -> Exception:
    """Return the error that a call ends with: an `error`, within `CALL_TIMEOUT_S`."""
    with pytest.raises(error) as raised:
        async with asyncio.timeout(CALL_TIMEOUT_S):
            await call()
    return raised.value


REDIS_REASONS = {
    "authority": "TLS: self-signed certificate",
    "name": "TLS: IP address mismatch",
    "password": "AuthenticationError",
    "plaintext": "Connection",
}


class TestRedis:
    async def test_the_right_client_is_served(self, secured: Secured) -> None:
        url = complete_redis_url("A", secured.addresses["IM_REDIS_URL"], secured.files)
        settings = settings_of(url)
        cache, heard = RedisMessageCache(settings), asyncio.Event()
        await cache.ping()
        await cache.close()
        listener = ChangeListener(
            settings, on_change=lambda change: heard.set(), on_gap=lambda: None
        )
        await listener.start()
        await asyncio.to_thread(publish, settings, Notice("origin", (AnythingChanged(),)))
        async with asyncio.timeout(CALL_TIMEOUT_S):
            await heard.wait()
        await listener.close()
        log, reader = open_log(url, settings), open_reader(url, settings)
        (future,) = await log.append(settings.topic, [OutgoingRecord(b"1_2", b"hello")])
        await future
        records = await reader.poll(max_records=10, timeout_s=5.0)
        assert [record.value for record in records] == [b"hello"]
        await asyncio.gather(log.close(), reader.close())

    def test_celery_is_served(self, secured: Secured) -> None:
        url = broker_url("A", secured.addresses["IM_CELERY_BROKER_URL"], secured.files)
        with Celery(broker=url) as app:
            app.send_task("any", queue="test-of-the-links")

    @pytest.mark.parametrize(
        "command", ["FLUSHALL", "CONFIG GET *", "KEYS *", "DEBUG JMAP", "SHUTDOWN", "ACL LIST"]
    )
    def test_the_account_may_do_no_more_than_the_service(
        self, secured: Secured, command: str
    ) -> None:
        url = complete_redis_url("A", secured.addresses["IM_REDIS_URL"], secured.files)
        with (
            redis.Redis.from_url(url) as client,
            pytest.raises(redis.ResponseError, match=r"no permissions|not allowed"),
        ):
            client.execute_command(*command.split())

    def test_nor_may_its_scripts(self, secured: Secured) -> None:
        url = complete_redis_url("A", secured.addresses["IM_REDIS_URL"], secured.files)
        with (
            redis.Redis.from_url(url) as client,
            pytest.raises(redis.ResponseError, match="executing the script"),
        ):
            client.eval("return redis.call('FLUSHALL')", 0)

    @pytest.mark.parametrize("what", WRONG)
    async def test_a_wrong_client_is_told_why(
        self, secured: Secured, what: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        address, files = secured.wrong("redis", what)
        url = complete_redis_url("A", address, files)
        settings = settings_of(url)
        cache = RedisMessageCache(settings)
        for _ in range(3):
            await refusal(cache.ping, CacheUnavailable)
        await cache.close()
        assert REDIS_REASONS[what] in told(caplog, "cache.not_connected")
        assert told(caplog, "cache.not_connected").count("|") == 0, "it is said once"

        notice = Notice("origin", (AnythingChanged(),))
        await refusal(lambda: asyncio.to_thread(publish, settings, notice), CacheUnavailable)
        listener = ChangeListener(settings, on_change=lambda change: None, on_gap=lambda: None)
        await listener.start()
        await listener.close()
        assert REDIS_REASONS[what] in told(caplog, "changes.lost")

        log, reader = open_log(url, settings), open_reader(url, settings)
        (future,) = await log.append(settings.topic, [OutgoingRecord(b"1_2", b"hello")])
        await refusal(lambda: future, LogUnavailable)
        assert REDIS_REASONS[what] in told(caplog, "log.unavailable")
        await refusal(lambda: reader.poll(max_records=1, timeout_s=0.1), LogUnavailable)
        await asyncio.gather(log.close(), reader.close())
        assert "wrong" not in caplog.text, "no password is logged"

    def test_a_wrong_broker_of_celery_ends_in_time(self, secured: Secured) -> None:
        def send(what: str) -> float:
            began_s = time.monotonic()
            address, files = secured.wrong("redis", what)
            with (
                Celery(broker=broker_url("A", address, files)) as app,
                pytest.raises((OperationalError, redis.ConnectionError)),
            ):
                app.send_task("any", queue="test-of-the-links", retry=False)
            return time.monotonic() - began_s

        with ThreadPoolExecutor() as threads:
            assert max(threads.map(send, WRONG)) < CALL_TIMEOUT_S


KAFKA_REASONS = {
    "authority": "CERTIFICATE_VERIFY_FAILED",
    "name": "CERTIFICATE_VERIFY_FAILED",
    "password": "invalid credentials",
    "plaintext": "",  # the broker ends the connection without a reason
}


class TestKafka:
    @pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
    async def test_the_right_client_is_served(self, secured: Secured, mechanism: str) -> None:
        address = secured.addresses["IM_EVENT_LOG_URL"]
        if mechanism == "PLAIN":
            host = address.partition("@")[2]
            address = f"kafkas://im:{quote(PLAIN_PASSWORD, safe='')}@{host}?sasl=PLAIN"
        url = complete_log_url("A", address, secured.files)
        topic = f"im-message-links-{mechanism}"
        settings = replace(settings_of(url), topic=topic, dead_letter_topic=f"{topic}-dead")
        await asyncio.to_thread(create_topics, url, settings)
        log, reader = open_log(url, settings), open_reader(url, settings)
        inspector = open_inspector(url, settings)
        await log.ping()
        (future,) = await log.append(settings.topic, [OutgoingRecord(b"1_2", b"hello")])
        await future
        records: list[Any] = []
        async with asyncio.timeout(CALL_TIMEOUT_S):
            while not records:
                with contextlib.suppress(LogUnavailable):
                    records = await reader.poll(max_records=10, timeout_s=1.0)
        assert [record.value for record in records] == [b"hello"]
        assert [extent.end for extent in await inspector.extents()].count("1") == 1
        await asyncio.gather(log.close(), reader.close(), inspector.close())

    async def test_the_account_may_do_no_more_than_the_service(
        self, secured: Secured, caplog: pytest.LogCaptureFixture
    ) -> None:
        url = complete_log_url("A", secured.addresses["IM_EVENT_LOG_URL"], secured.files)
        settings = replace(settings_of(url), topic="another", consumer_group="another")
        refused = await refusal(
            lambda: asyncio.to_thread(create_topics, url, settings), LogUnavailable
        )
        assert "AuthorizationFailed" in str(refused)
        reader = open_reader(url, settings)
        await refusal(lambda: reader.poll(max_records=1, timeout_s=1.0), LogUnavailable)
        await reader.close()

    @pytest.mark.parametrize("what", WRONG)
    async def test_a_wrong_client_is_told_why(
        self, secured: Secured, what: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        address, files = secured.wrong("kafka", what)
        url = complete_log_url("A", address, files)
        settings = settings_of(url)
        log, reader = open_log(url, settings), open_reader(url, settings)
        inspector = open_inspector(url, settings)
        calls: list[Callable[[], Awaitable[Any]]] = [
            lambda: asyncio.to_thread(create_topics, url, settings),
            log.ping,
            lambda: reader.poll(max_records=1, timeout_s=1.0),
            inspector.extents,
        ]
        await asyncio.gather(*(refusal(call, LogUnavailable) for call in calls))
        await asyncio.gather(log.close(), reader.close(), inspector.close())
        for vendor in ("aiokafka", "kafka"):
            said = [r.getMessage() for r in caplog.records if r.name.split(".")[0] == vendor]
            assert KAFKA_REASONS[what] in "".join(said), vendor
            assert len(said) < 200, "no tight loop"
        assert "wrong" not in caplog.text, "no password is logged"


@contextlib.asynccontextmanager
async def store_at(
    url: str, files: TlsFiles, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[DatabaseStore]:
    """Open a store on Django's connection to this address."""
    env = Environment()
    env.ENVIRON = {"A": url}
    there = env.database("A", ("mysql",), default="", tls=files)
    default = deepcopy(connections.databases["default"])
    there["OPTIONS"] |= {"connect_timeout": 5, "read_timeout": 5, "charset": "utf8mb4"}
    monkeypatch.setitem(connections.databases, "default", default | there)
    store = DatabaseStore(settings_of(""))
    try:
        yield store
    finally:
        await store.close()


MYSQL_REASONS = {
    "authority": "2026: TLS, TLS/SSL error: self-signed certificate",
    "name": "2026: TLS, ",
    "password": "1045: wrong user name or password",
    "plaintext": "1045: wrong user name or password, or the account wants TLS",
}


class TestTheDatabase:
    async def test_the_right_client_is_served(
        self,
        secured: Secured,
        monkeypatch: pytest.MonkeyPatch,
        django_db_blocker: DjangoDbBlocker,
    ) -> None:
        with django_db_blocker.unblock():
            async with store_at(
                secured.addresses["IM_DATABASE_URL"], secured.files, monkeypatch
            ) as store:
                await store.ping()

    @pytest.mark.parametrize("what", WRONG)
    async def test_a_wrong_client_is_told_why(
        self,
        secured: Secured,
        what: str,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        django_db_blocker: DjangoDbBlocker,
    ) -> None:
        with django_db_blocker.unblock():
            async with store_at(*secured.wrong("mysql", what), monkeypatch) as store:
                refused = await refusal(store.ping, StoreUnavailable)
                assert MYSQL_REASONS[what] in str(refused)
                await refusal(store.ping, StoreUnavailable)
        assert MYSQL_REASONS[what] in told(caplog, "database.away")
        assert "wrong" not in caplog.text.replace("wrong user name", ""), "no password is logged"


def test_the_whole_service_runs_on_them(secured: Secured, tmp_path: Path) -> None:
    var_dir = tmp_path / "var"
    var_dir.mkdir()
    services = Path(secured.addresses["IM_TLS_CA"]).parent.parent
    (var_dir / "services").symlink_to(services, target_is_directory=True)
    names = {"redis": "REDIS_PORT", "kafka": "KAFKA_PORT", "mysql": "MARIADB_PORT"}
    ports = {names[link]: str(_port(secured.addresses[LINKS[link]])) for link in LINKS}
    service = ServiceProcesses(var_dir, "full", **ports)
    try:
        service.start()
        alice, bob = service.users["alice"], service.users["bob"]
        content = {"toUserId": bob.id, "chatType": 1, "msgType": 1, "content": "Hello"}
        request = urllib.request.Request(
            f"{service.base_url}/api/message/send",
            json.dumps(content).encode(),
            {"Authorization": f"Bearer {alice.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=CALL_TIMEOUT_S) as answer:
            assert answer.status == 200
        url = complete_redis_url("A", secured.addresses["IM_REDIS_URL"], secured.files)
        with redis.Redis.from_url(url) as client:
            wait_until(
                lambda: not client.zcard(keys.PENDING), limit_s=CALL_TIMEOUT_S, what="it is stored"
            )
        wait_until(
            lambda: "Connected to rediss://im:**@" in service.output,
            limit_s=CALL_TIMEOUT_S,
            what="Celery is connected",
        )
        manage = f"source {var_dir}/env && {ROOT}/.venv/bin/python {ROOT}/manage.py"
        _run(["bash", "-c", f"{manage} audit"], clean_environment())
        assert service.stop() == 0
        for part in service.output.split("//im:")[1:]:
            assert part.startswith("**@"), "no password is shown"
    finally:
        service.clear()


def test_the_keys_are_for_their_owner_alone(secured: Secured) -> None:
    services = Path(secured.addresses["IM_TLS_CA"]).parent.parent
    names = ("env", "tls/key.pem", "redis/users.acl", "redis/tls-key.pem", "kafka/password")
    for name in (*names, "kafka/server.properties", "mariadb/tls-key.pem"):
        assert (services / name).stat().st_mode & 0o077 == 0, name
    assert not (services / "tls" / "ca-key.pem").exists()
