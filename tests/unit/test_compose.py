"""Check compose/: pinned images, health checks, and no secret in the repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from imsite.settings import INSTALLED_APPS

COMPOSE = Path(__file__).resolve().parents[2] / "compose"
STACK: dict[str, Any] = yaml.safe_load((COMPOSE / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = STACK["services"]
SECRET = re.compile("PASSWORD|SECRET|KEY|TOKEN")
MONITORING = ("prometheus", "alertmanager", "grafana")
PROGRAMS = ("web", "consumer", "worker", "beat", "exporter")


def base_images() -> list[str]:
    lines = (COMPOSE / "Dockerfile").read_text().splitlines()
    return [line.split()[1] for line in lines if line.startswith("FROM ")]


def test_the_whole_stack_is_there() -> None:
    assert set(SERVICES) == {
        *("mysql", "redis", "kafka", "prepare"),
        *PROGRAMS,
        *MONITORING,
    }


def test_only_the_monitoring_waits_to_be_asked_for() -> None:
    chosen = {
        name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service
    }
    assert chosen == {name: ["monitoring"] for name in MONITORING}


@pytest.mark.parametrize(
    "image", [*(service["image"] for service in SERVICES.values()), *base_images()]
)
def test_every_image_is_pinned_to_a_patch_version(image: str) -> None:
    assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+(-[a-z-]+)?", image)


def test_the_image_has_every_application_of_the_project() -> None:
    copied = re.findall(r"^COPY (\w+) \1$", (COMPOSE / "Dockerfile").read_text(), re.MULTILINE)
    root = COMPOSE.parent
    assert set(copied) >= {name for name in INSTALLED_APPS if (root / name).is_dir()} >= {"bench"}


def test_the_broker_in_a_container_is_the_one_that_the_tests_run_against() -> None:
    pom = ElementTree.parse(COMPOSE / "kafka" / "pom.xml")
    versions = {
        dependency.findtext("{*}artifactId"): dependency.findtext("{*}version")
        for dependency in pom.iter("{http://maven.apache.org/POM/4.0.0}dependency")
    }
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{versions['kafka_2.13']}"


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"prepare"}))
def test_what_keeps_running_has_a_health_check_and_is_started_again(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", ["consumer", "worker", "beat"])
def test_a_program_is_judged_by_the_command_for_its_role(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"] == ["CMD", "python", "manage.py", "health", name]
    assert check["interval"] == "30s"  # each check starts Python


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_starts_when_tables_and_topics_are_there(name: str) -> None:
    condition = SERVICES[name]["depends_on"]["prepare"]["condition"]
    assert condition == "service_completed_successfully"


@pytest.mark.parametrize("name", ["mysql", "redis", "kafka"])
def test_the_preparation_waits_for_healthy_services_whose_data_is_kept(name: str) -> None:
    assert SERVICES["prepare"]["depends_on"][name]["condition"] == "service_healthy"
    kept = SERVICES[name]["volumes"][0].partition(":")[0]
    assert kept in STACK["volumes"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_secret_has_a_value_or_a_default(name: str) -> None:
    for variable, value in SERVICES[name].get("environment", {}).items():
        if SECRET.search(variable) and not variable.endswith("RANDOM_ROOT_PASSWORD"):
            assert re.fullmatch(r"\$\{[A-Z_]+:\?[^}]+\}", value), variable
        assert not re.search(r"//[^/@]*:[^$/@][^/@]*@", str(value)), variable


def test_the_example_of_the_environment_leaves_every_secret_empty() -> None:
    lines = (COMPOSE / ".env.example").read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines if re.match("[A-Z]", line))
    required = set(re.findall(r"\$\{(\w+):\?", (COMPOSE / "docker-compose.yml").read_text()))
    assert required <= set(settings)
    assert all(not value for variable, value in settings.items() if SECRET.search(variable))


def test_only_the_web_is_published_and_on_loopback_unless_told_otherwise() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published.pop("web") == ["${BIND:-127.0.0.1}:${PORT:-8082}:8082"]
    assert set(published) == set(MONITORING)
    for name, (port,) in published.items():
        assert re.fullmatch(rf"127\.0\.0\.1:\$\{{{name.upper()}_PORT:-\d+\}}:\d+", port)


def test_what_counts_shares_a_folder_with_the_exporter() -> None:
    for name in PROGRAMS:
        assert "metrics:/app/var/run/metrics" in SERVICES[name]["volumes"], name
    assert "var/run/metrics" in (COMPOSE / "Dockerfile").read_text()  # with its owner


def test_prometheus_finds_the_exporter_and_alertmanager() -> None:
    config = yaml.safe_load((COMPOSE / "prometheus" / "prometheus.yml").read_text())
    ((exporter,),) = [each["targets"] for each in config["scrape_configs"][0]["static_configs"]]
    assert exporter == f"exporter:{SERVICES['exporter']['command'][-1]}"
    (alertmanagers,) = config["alerting"]["alertmanagers"]
    name, port = alertmanagers["static_configs"][0]["targets"][0].split(":")
    assert SERVICES[name]["ports"][0].endswith(f":{port}")


def test_grafana_finds_prometheus_by_a_fixed_uid_and_its_dashboards() -> None:
    provisioning = COMPOSE / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())[
        "datasources"
    ]
    assert (source["uid"], source["url"]) == ("prometheus", "http://prometheus:9090")
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "imsite.yml").read_text())[
        "providers"
    ]
    mounted = [volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounted


def test_nobody_can_log_in_to_grafana() -> None:
    settings = SERVICES["grafana"]["environment"]
    assert settings["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert settings["GF_AUTH_BASIC_ENABLED"] == "false"
    assert "GF_AUTH_ANONYMOUS_ORG_ROLE" not in settings  # its default is to look only


def test_the_image_does_not_run_as_root() -> None:
    users = re.findall(r"^USER (\S+)$", (COMPOSE / "Dockerfile").read_text(), re.MULTILINE)
    assert users
    assert users[-1] not in ("root", "0")


def test_redis_has_one_account_with_the_rights_that_it_has_everywhere() -> None:
    script = (COMPOSE.parent / "scripts" / "environment.sh").read_text()
    (rights,) = re.findall(r"'(\+@all [^']+)'", script)
    (nobody,) = re.findall(r"'user (default off [^\\]+)\\n", script)
    command = " ".join(SERVICES["redis"]["command"])
    assert f"--user {nobody} --user im on >${{REDIS_PASSWORD:?" in command
    assert command.endswith(f" ~* &* {rights}")
    for readme in ("README.md", "README.zh-CN.md"):
        assert rights in (COMPOSE.parent / readme).read_text(), readme
        assert nobody in (COMPOSE.parent / readme).read_text(), readme


def test_redis_has_the_mends_of_lua() -> None:
    version = re.findall(r"\d+", SERVICES["redis"]["image"])
    assert [int(number) for number in version] >= [7, 2, 11]


def granian_options(text: str) -> list[str]:
    """Return every option of granian except its address and its number of workers."""
    command = text[text.index("granian --interface") :]
    words = command[: command.index("imsite.asgi:application")].replace("\\", " ").split()
    return words[words.index("--loop") :]


def test_the_web_runs_everywhere_as_it_does_in_scripts_run() -> None:
    root = COMPOSE.parent
    expected = granian_options((root / "scripts" / "run").read_text())
    assert "--backpressure" in expected
    for place in ("compose/docker-compose.yml", "README.md", "README.zh-CN.md"):
        assert granian_options((root / place).read_text()) == expected, place


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_container_gains_no_rights_and_takes_no_more_memory_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert service["pids_limit"] > 0
    assert service.get("user") != "root"


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"mysql", "kafka"}))
def test_a_container_writes_into_its_volumes_alone(name: str) -> None:
    assert SERVICES[name]["read_only"] is True
    assert SERVICES[name]["volumes"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_container_waits_for_whoever_reads_its_log(name: str) -> None:
    assert SERVICES[name]["logging"]["options"]["mode"] == "non-blocking"


def test_redis_has_memory_for_what_it_may_hold() -> None:
    config = (COMPOSE / "redis" / "redis.conf").read_text()
    assert "maxmemory 1gb" in config
    assert SERVICES["redis"]["mem_limit"] == "2560m"
