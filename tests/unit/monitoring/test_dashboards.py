"""Check the dashboards: a wrong name in one makes an empty panel in Grafana, and no error."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.dashboards import files, queries, read
from tests.support.monitoring import recordings, run
from tests.support.real_services import ROOT
from tests.unit.monitoring.served import RECORDED, SERVED, unknown_in

DASHBOARDS = {path.stem: read(path) for path in files()}
QUERIES = dict(queries())
SOURCE = {"type": "prometheus", "uid": "prometheus"}
COLUMNS = 24
SCHEMA_OF_GRAFANA_11_6 = 41
# The labels of the alerts themselves, which Prometheus adds to ALERTS.
OF_ALERTS = {"alertname": (), "severity": (), "window": (), "alertstate": ()}
each_dashboard = pytest.mark.parametrize(
    "dashboard", DASHBOARDS.values(), ids=lambda dashboard: dashboard["uid"]
)


def panels(dashboard: dict[str, Any], *, rows: bool = False) -> list[dict[str, Any]]:
    """Return the panels that show something; with `rows` also the headings."""
    return [each for each in dashboard["panels"] if rows or each["type"] != "row"]


def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    at = panel["gridPos"]
    return set(
        itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"]))
    )


def numbers(panel: dict[str, Any]) -> dict[str, Any]:
    defaults = panel["fieldConfig"]["defaults"]
    assert isinstance(defaults, dict)
    return defaults


def test_the_dashboards_are_two_with_fixed_addresses_that_link_to_each_other() -> None:
    assert {name: each["uid"] for name, each in DASHBOARDS.items()} == {
        "overview": "imsite-overview",
        "pipeline": "imsite-pipeline",
    }
    linked = [link["url"] for each in DASHBOARDS.values() for link in each["links"]]
    assert sorted(linked) == ["/d/imsite-overview", "/d/imsite-pipeline"]


@each_dashboard
def test_a_dashboard_is_one_of_grafana_11_without_variables(dashboard: dict[str, Any]) -> None:
    assert dashboard["schemaVersion"] == SCHEMA_OF_GRAFANA_11_6
    assert dashboard["templating"] == {"list": []}
    assert "$" not in "".join(QUERIES.values()), "a variable of Grafana may be empty"
    image = yaml.safe_load((ROOT / "compose" / "docker-compose.yml").read_text())["services"]
    assert image["grafana"]["image"].startswith("grafana/grafana:11.6.")


@each_dashboard
def test_no_two_panels_share_an_id_or_a_place(dashboard: dict[str, Any]) -> None:
    every = panels(dashboard, rows=True)
    assert len({panel["id"] for panel in every}) == len(every)
    taken = [cell for panel in every for cell in cells(panel)]
    assert len(set(taken)) == len(taken)
    assert all(0 <= x < COLUMNS and y >= 0 for x, y in taken)


@each_dashboard
def test_each_panel_is_explained_and_has_a_unit_and_a_colour(dashboard: dict[str, Any]) -> None:
    titles = [panel["title"] for panel in panels(dashboard)]
    assert len(set(titles)) == len(titles)
    for panel in panels(dashboard):
        assert panel["title"].strip(), panel["id"]
        assert panel["description"].strip().endswith((".", "list")), panel["title"]
        assert numbers(panel)["unit"], panel["title"]
        first, *others = numbers(panel)["thresholds"]["steps"]
        assert first["value"] is None, panel["title"]
        values = [step["value"] for step in others]
        assert values == sorted(values), panel["title"]


@each_dashboard
def test_a_number_of_seconds_or_bytes_is_shown_as_one(dashboard: dict[str, Any]) -> None:
    """A quotient of two such numbers, and the rate of a sum of seconds, is a share."""
    for panel in panels(dashboard):
        asked = " ".join(target["expr"] for target in panel["targets"])
        is_rate = "rate(" in asked and "histogram_quantile" not in asked
        if "/" in asked or is_rate:
            continue
        for ending, unit in {"_bytes": "bytes", "_seconds": "s"}.items():
            if ending in asked:
                assert numbers(panel)["unit"] == unit, panel["title"]


@each_dashboard
def test_each_query_asks_prometheus_by_the_uid_that_is_provisioned(
    dashboard: dict[str, Any],
) -> None:
    folder = ROOT / "compose" / "grafana" / "provisioning" / "datasources"
    (source,) = yaml.safe_load((folder / "prometheus.yml").read_text())["datasources"]
    assert {"type": source["type"], "uid": source["uid"]} == SOURCE
    for panel in panels(dashboard):
        assert panel["datasource"] == SOURCE, panel["title"]
        assert panel["targets"], panel["title"]
        assert all(target["datasource"] == SOURCE for target in panel["targets"])
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters), panel["title"]


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_asks_for_what_is_served(name: str) -> None:
    known = SERVED | {"ALERTS": OF_ALERTS}
    assert not unknown_in(QUERIES[name], known)
    assert set(RECORDED.findall(QUERIES[name])) <= {rule["record"] for rule in recordings()}


def test_promtool_reads_every_query(tmp_path: Path) -> None:
    path = tmp_path / "queries.yml"

    def judged(*queries: str) -> str:
        rules = [{"record": f"query_{n}", "expr": query} for n, query in enumerate(queries)]
        path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
        return run("promtool", "check", "rules", path).stdout

    assert f"SUCCESS: {len(QUERIES)} rules found" in judged(*QUERIES.values())
    assert "FAILED" in judged(*QUERIES.values(), "sum(rate(up[1m])")
