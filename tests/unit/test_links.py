"""Test the addresses of the links: how a client reads them, and that bad ones are refused."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from kombu import Connection
from redis import ConnectionPool, SSLConnection, UnixDomainSocketConnection

from imsite.environment import Environment
from messaging.eventlog import check_url
from messaging.links import (
    TlsFiles,
    broker_url,
    complete_log_url,
    complete_redis_url,
    plaintext_hosts,
    read_kafka_url,
    reason,
)

NONE = TlsFiles()
PASSWORD = "do-not-print-me"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    """Make a CA whose path holds a blank, and whose certificate also serves as a client's."""
    directory = tmp_path_factory.mktemp("with blank ?&")
    cert, key = directory / "cert.pem", directory / "key.pem"
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    rest = ["-nodes", "-days", "1", "-subj", "/CN=test", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*new, *rest], check=True, capture_output=True)
    return TlsFiles(str(cert), str(cert), str(key))


class TestRedis:
    def test_tls_proves_the_server_for_every_client(self, files: TlsFiles) -> None:
        url = complete_redis_url("A", "rediss://im:p%2Bw@host:6380/3", files)
        pool = ConnectionPool.from_url(url)
        connection = pool.make_connection()
        assert isinstance(connection, SSLConnection)
        assert connection.cert_reqs == ssl.CERT_REQUIRED
        assert connection.check_hostname
        assert connection.ca_certs == files.ca
        assert (connection.certfile, connection.keyfile) == (files.cert, files.key)
        assert pool.connection_kwargs["password"] == "p+w"
        assert pool.connection_kwargs["db"] == 3
        broker = Connection(broker_url("A", "rediss://im:p%2Bw@host:6380/3", files))
        assert broker.transport_cls == "rediss"
        assert broker.ssl == {
            "ssl_cert_reqs": ssl.CERT_REQUIRED,
            "ssl_check_hostname": True,
            "ssl_ca_certs": files.ca,
            "ssl_certfile": files.cert,
            "ssl_keyfile": files.key,
        }
        assert (broker.userid, broker.password, broker.virtual_host) == ("im", "p+w", "3")

    def test_without_a_file_the_system_is_trusted_and_the_server_proved(self) -> None:
        url = complete_redis_url("A", "rediss://host", NONE)
        connection = ConnectionPool.from_url(url).make_connection()
        assert (connection.cert_reqs, connection.check_hostname) == (ssl.CERT_REQUIRED, True)

    def test_completing_twice_changes_nothing(self, files: TlsFiles) -> None:
        once = complete_redis_url("A", "rediss://:x@host/1", files)
        assert complete_redis_url("A", once, NONE) == once

    @pytest.mark.parametrize("url", ["redis://:p@host:1/0", "unix:///run/redis.sock?db=2"])
    def test_an_address_without_tls_stays_as_it_is(self, url: str, files: TlsFiles) -> None:
        assert complete_redis_url("A", url, files) == url

    def test_celery_takes_a_unix_socket(self) -> None:
        url = broker_url("A", "unix://im:secret@/run/redis.sock?db=2", NONE)
        assert url == "redis+socket://im:secret@/run/redis.sock?virtual_host=2"
        client = ConnectionPool.from_url("unix://im:secret@/run/redis.sock?db=2").make_connection()
        assert isinstance(client, UnixDomainSocketConnection)

    def test_a_broker_of_another_kind_is_left_alone(self, files: TlsFiles) -> None:
        assert broker_url("A", "amqp://guest@host//", files) == "amqp://guest@host//"


class TestKafka:
    def test_tls_and_scram_have_the_names_of_both_vendors(self, files: TlsFiles) -> None:
        url = complete_log_url("A", "kafkas://im:p%40%2Fw@a:9093,b?sasl=scram-sha-256", files)
        link = read_kafka_url("A", url)
        assert link.servers == ("a:9093", "b:9092")
        context = link.security["ssl_context"]
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
        assert {name: value for name, value in link.security.items() if name != "ssl_context"} == {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-256",
            "sasl_plain_username": "im",
            "sasl_plain_password": "p@/w",
        }
        assert "p@/w" not in repr(link)

    @pytest.mark.parametrize(
        ("url", "protocol", "mechanism"),
        [
            ("kafka://a", None, None),
            ("kafkas://a", "SSL", None),
            ("kafkas://u:p@a", "SASL_SSL", "SCRAM-SHA-512"),
            ("kafka://u:p@a?sasl=PLAIN", "SASL_PLAINTEXT", "PLAIN"),
        ],
    )
    def test_the_address_says_how_it_is_spoken(
        self, url: str, protocol: str | None, mechanism: str | None
    ) -> None:
        security = read_kafka_url("A", url).security
        assert security.get("security_protocol") == protocol
        assert security.get("sasl_mechanism") == mechanism

    def test_a_broker_may_have_an_address_of_ipv6(self) -> None:
        assert read_kafka_url("A", "kafka://[::1],[::1]:9").servers == ("[::1]:9092", "[::1]:9")


def database(url: str, files: TlsFiles = NONE) -> dict[str, Any]:
    env = Environment()
    env.ENVIRON = {"IM_A": url}
    return env.database("IM_A", ("mysql", "sqlite"), default="", tls=files)


class TestTheDatabase:
    @pytest.mark.parametrize("query", ["tls=true", "ssl_mode=VERIFY_IDENTITY", "ssl_ca={ca}"])
    def test_each_way_to_ask_for_tls_proves_the_server(self, query: str, files: TlsFiles) -> None:
        found = database("mysql://im:x@db/im?" + query.format(ca=files.ca.replace("&", "%26")))
        assert found["OPTIONS"]["ssl_mode"] == "VERIFY_IDENTITY"
        assert found["OPTIONS"]["ssl"]

    def test_the_files_are_those_of_the_settings(self, files: TlsFiles) -> None:
        options = database("mysql://im:x@db/im?tls=on", files)["OPTIONS"]
        assert options["ssl"] == {"ca": files.ca, "cert": files.cert, "key": files.key}

    @pytest.mark.parametrize("url", ["mysql://im:x@db/im", "mysql://im:x@db/im?tls=false"])
    def test_without_it_nothing_is_added(self, url: str, files: TlsFiles) -> None:
        assert database(url, files)["OPTIONS"] == {}

    def test_a_password_is_taken_as_it_is_written(self) -> None:
        found = database("mysql://i+m:a+b%2F%25@db/im")
        assert (found["USER"], found["PASSWORD"]) == ("i+m", "a+b/%")


def redis(url: str) -> object:
    return complete_redis_url("IM_A", url, NONE)


def log(url: str) -> object:
    return read_kafka_url("IM_A", complete_log_url("IM_A", url, NONE))


@pytest.mark.parametrize(
    ("read", "url"),
    [
        (redis, f"redsi://:{PASSWORD}@host"),
        (redis, f"redis://:{PASSWORD}@host?tls=true"),
        (redis, f"redis://:{PASSWORD}@host?ssl_cert_reqs=none"),
        (redis, f"rediss://:{PASSWORD}@host?ssl_cert_reqs=none"),
        (redis, f"rediss://:{PASSWORD}@host?ssl_check_hostname=false"),
        (redis, f"rediss://:{PASSWORD}@host?ssl_ca_certs=/nowhere.pem"),
        (redis, f"rediss://:{PASSWORD}/x@host"),
        (redis, f"redis://:x?{PASSWORD}@host"),
        (redis, f"redis://:x#{PASSWORD}@host"),
        (redis, f"redis://:1/{PASSWORD}@host"),
        (log, f"kafkas://u:{PASSWORD}@host?sasl=GSSAPI"),
        (log, f"kafkas://u:{PASSWORD}@host?acks=0"),
        (log, f"kafkas://u:{PASSWORD}@host?ssl_cafile=/nowhere.pem"),
        (log, f"kafkas://u:{PASSWORD}@host?ssl_keyfile=/etc/hostname"),
        (log, f"kafkas://u:x?{PASSWORD}@host"),
        (log, f"kafkas://{PASSWORD}@host"),
        (log, f"kafka://u:{PASSWORD}@host?ssl_cafile=/etc/hostname"),
        (log, "kafkas://host?sasl=PLAIN"),
        (database, f"mysql://im:{PASSWORD}@db/im?ssl=yes"),
        (database, f"mysql://im:{PASSWORD}@db/im?ssl_mode=REQUIRED"),
        (database, f"mysql://im:{PASSWORD}@db/im?tls=maybe"),
        (database, f"mysql://im:{PASSWORD}@db/im?tls=false&ssl_ca=/etc/hostname"),
        (database, f"mysql://im:{PASSWORD}@db/im?ssl_ca=/etc/hostname"),
        (database, "sqlite:////tmp/x?tls=true"),
    ],
)
def test_what_is_not_understood_is_refused_without_the_password(
    read: Callable[[str], object], url: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match="IM_A") as refused:
        read(url)
    assert PASSWORD not in str(refused.value)


def test_the_check_of_the_log_knows_the_secured_address() -> None:
    check_url("kafkas://u:p@host:9093")
    with pytest.raises(ImproperlyConfigured, match="IM_EVENT_LOG_URL"):
        check_url("kafkas://u:p@host:9093?sasl=x")


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("redis://127.0.0.1:1/0", []),
        ("redis://u:p@[::1]:1/0", []),
        ("redis://localhost", []),
        ("unix:///run/redis.sock", []),
        ("rediss://redis", []),
        ("redis://u:p@redis:6379/0", ["redis"]),
        ("kafka://127.0.0.1,b:9092,10.0.0.7", ["b", "10.0.0.7"]),
        ("kafkas://b", []),
    ],
)
def test_plaintext_to_another_machine_is_noticed(url: str, hosts: list[str]) -> None:
    assert plaintext_hosts("A", url) == hosts


def test_a_reason_is_the_cause_that_tells_most() -> None:
    try:
        try:
            Path("/proc/none").read_bytes()
        except OSError as missing:
            raise RuntimeError(PASSWORD) from missing
    except RuntimeError as error:
        assert reason(error) == "FileNotFoundError"
    assert reason(ValueError(PASSWORD)) == "ValueError"
