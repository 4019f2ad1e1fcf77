"""Break the settings, the machine and the secrets of an instance: the doctor finds each fault."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from messaging.doctor import host
from messaging.doctor.verdicts import State
from tests.integration.doctor.breaking import Breaking, Fault, names, prove, worse
from tests.integration.doctor.instance import Instance

FAIL, WARN = State.FAIL, State.WARN
PRODUCTION = {
    "IM_ENV": "production",
    "IM_SECRET_KEY": "a key of production " * 2,
    "IM_JWT_KEY": "another key of production " * 2,
    "IM_ALLOWED_HOSTS": "chat.example.com",
}


def setting(**variables: str | None) -> Breaking:
    return lambda instance: instance.set(**variables)


def fault(area: str, check: str, state: State, **variables: str | None) -> Fault:
    told = " ".join(f"{name}={value}" for name, value in variables.items())
    return Fault(name=told, at=(area, check), state=state, breaking=setting(**variables))


FAULTS = (
    fault("settings", "modes", FAIL, IM_PRIVATE_MODE="fast"),
    fault("settings", "modes", FAIL, IM_GROUP_MODE="asynchronous"),
    fault("settings", "datacenter", FAIL, IM_DATACENTER_ID="99999"),
    fault("settings", "limits", FAIL, IM_SEND_RATE="-1"),
    fault("settings", "limits", FAIL, IM_READ_BURST="0"),
    fault("settings", "timeouts", FAIL, IM_REDIS_TIMEOUT_S="1"),
    fault("settings", "timeouts", FAIL, IM_SEND_TIMEOUT_S="20"),
    fault("settings", "timeouts", FAIL, IM_REQUEST_TIMEOUT_S="0.5"),
    fault("settings", "lease", WARN, IM_WORKER_LEASE_S="10"),
    fault("settings", "variables", WARN, IM_REDIS_TIMEOUT="0.3"),
    fault("settings", "variables", WARN, IM_NEVER_HEARD_OF="1"),
    fault("security", "debug", WARN, IM_DEBUG="on"),
)
OF_PRODUCTION = (
    fault("settings", "keys", FAIL, IM_SECRET_KEY=None),
    fault("settings", "keys", FAIL, IM_JWT_KEY="short"),
    fault("security", "debug", FAIL, IM_DEBUG="on"),
    fault("security", "hosts", FAIL, IM_ALLOWED_HOSTS=None),
    fault("security", "https", WARN, IM_HTTPS="off"),
    fault("security", "links", WARN, IM_CELERY_BROKER_URL="redis://broker.example.com:6379/1"),
)


@pytest.mark.parametrize("fault", FAULTS, ids=names(FAULTS))
def test_a_setting_is_found_and_mended(instance: Instance, fault: Fault) -> None:
    prove(instance, fault)


@pytest.mark.parametrize("fault", OF_PRODUCTION, ids=names(OF_PRODUCTION))
def test_a_setting_of_production_is_found_and_mended(instance: Instance, fault: Fault) -> None:
    instance.set(**PRODUCTION)
    prove(instance, fault)


def test_an_address_of_no_log_is_found(instance: Instance) -> None:
    instance.set(IM_EVENT_LOG_URL="kafak://127.0.0.1:9092")
    found = instance.found()
    assert worse(found).keys() == {("settings", "log address")}
    assert "kafka://" in found["settings", "log address"].remedy


def test_an_address_without_tls_is_given_tls_by_its_remedy(instance: Instance) -> None:
    url = "mysql://im:secret@db.example.com/im"
    instance.set(**PRODUCTION, IM_DATABASE_URL=url)
    found = instance.found()["security", "links"]
    assert "IM_DATABASE_URL" in found.remedy and "secret" not in f"{found.found}{found.remedy}"
    instance.carry_out(found.remedy)
    assert os.environ["IM_DATABASE_URL"] == f"{url}?tls=true"
    assert instance.found()["security", "links"].state is State.OK


def test_a_check_of_django_is_reported(instance: Instance) -> None:
    instance.set(IM_CSRF_TRUSTED_ORIGINS="chat.example.com")
    found = instance.found()
    assert worse(found).keys() == {("settings", "django")}
    told = found["settings", "django"]
    assert told.state is FAIL and "CSRF_TRUSTED_ORIGINS" in told.found
    assert told.remedy == "manage.py check  # 4_0.E001"


@pytest.mark.parametrize("name", ["im_secret_key", "services/redis/password", "env"])
def test_a_secret_for_all_is_found_and_mended(instance: Instance, var_dir: Path, name: str) -> None:
    def publish(_: Instance) -> None:
        path = var_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        path.chmod(0o644)

    prove(instance, Fault(name=name, at=("security", "files"), state=FAIL, breaking=publish))


def test_few_open_files_are_found(instance: Instance) -> None:
    @contextlib.contextmanager
    def limit(instance: Instance) -> Iterator[None]:
        with subprocess.Popen(["sleep", "60"]) as process:
            most = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)[1]
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (1_024, most))
            instance.runs("web", pid=process.pid)
            yield
            process.kill()
        instance.runs("web")

    at = ("host", "open files")
    prove(instance, Fault(name="few files", at=at, state=WARN, breaking=limit, mends=False))


@pytest.mark.parametrize(("free", "state"), [(0.1, WARN), (0.02, FAIL)])
def test_a_full_disk_is_found(
    instance: Instance, tmp_path: Path, free: float, state: State
) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    size = 4 * 1024 * 1024
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=False
    )
    if mounted.returncode:
        pytest.skip("no file system may be mounted here")

    @contextlib.contextmanager
    def fill(_: Instance) -> Iterator[None]:
        (folder / "filler").write_bytes(bytes(round(size * (1 - free))))
        yield
        (folder / "filler").unlink()

    try:
        instance.set(LOG_DIR=str(folder))
        at = ("host", "disks")
        prove(instance, Fault(name="full", at=at, state=state, breaking=fill, mends=False))
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize(("offset_s", "state"), [(-0.6, WARN), (0.6, WARN), (5, FAIL)])
def test_a_clock_that_is_off_is_found(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, offset_s: float, state: State
) -> None:
    @contextlib.contextmanager
    def set_clock(_: Instance) -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(host, "now_s", lambda: time.time() + offset_s)
            yield

    at = ("host", "clock of Redis")
    prove(instance, Fault(name="clock", at=at, state=state, breaking=set_clock, mends=False))
