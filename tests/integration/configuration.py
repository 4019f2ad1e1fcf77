"""Configure the service that the tests run in their own process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings

from messaging.pipeline import hints
from messaging.runtime import wiring


def site_settings(redis_url: str, door: str, values: Mapping[str, object]) -> dict[str, Any]:
    """Return the site's settings for a test, with `values` of `Settings`.

    No counts are written. Passwords are hashed fast. The log has time to confirm every send. A
    consumer waits briefly for records, because nobody appends any while a test consumes the log.
    """
    ours: dict[str, Any] = {
        "redis_url": redis_url,
        "event_log_url": redis_url,
        "log_budget_s": 5.0,
        "consumer_poll_s": 0.01,
        "gateway": door == "gateway",
        "metrics_dir": "",
    }
    return {
        "IM": replace(settings.IM, **(ours | dict(values))),
        "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],
    }


def silence_background_looks(patch: pytest.MonkeyPatch) -> None:
    """Let no background look reach the backends, so that a test counts its own calls only."""
    patch.setattr(hints, "HEARTBEAT_S", 3_600)
    patch.setattr(wiring, "PROBE_STORE_EVERY_S", 3_600)
