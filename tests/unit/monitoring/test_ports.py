"""Check that all servers of one machine fit beside each other on their default ports."""

from __future__ import annotations

import re

from tests.support.real_services import ROOT

PORT = re.compile(r"\$\{([A-Z]+_PORT):-(\d+)\}")


def ports_in(path: str) -> dict[str, int]:
    return {name: int(port) for name, port in PORT.findall((ROOT / path).read_text())}


def test_no_two_servers_have_one_default_port() -> None:
    ports = ports_in("scripts/services")
    assert {"PROMETHEUS_PORT", "ALERTMANAGER_PORT", "EXPORTER_PORT", "KAFKA_PORT"} <= set(ports)
    taken = [*ports.values(), ports["KAFKA_PORT"] + 1]  # the controller of Kafka
    assert len(taken) == len(set(taken))


def test_a_container_is_published_where_the_script_starts_the_same_server() -> None:
    published = ports_in("compose/docker-compose.yml")
    started = ports_in("scripts/services")
    shared = published.keys() & started.keys()
    assert shared == {"PROMETHEUS_PORT", "ALERTMANAGER_PORT"}
    assert {name: published[name] for name in shared} == {name: started[name] for name in shared}
    assert published["GRAFANA_PORT"] not in started.values()
