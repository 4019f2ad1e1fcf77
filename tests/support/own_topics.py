"""Give a test topics of its own on the real Kafka."""

from __future__ import annotations

import uuid
from dataclasses import replace

from messaging.conf import Settings
from messaging.eventlog import create_topics
from tests.support.real_services import connected


def with_own_topics(settings: Settings) -> Settings:
    """Return the settings with new topics, which exist, and with a consumer group of their own."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    own = replace(
        settings,
        event_log_url=connected("IM_EVENT_LOG_URL"),
        topic=name,
        dead_letter_topic=f"{name}-dead",
        consumer_group=name,
    )
    create_topics(own.event_log_url, own)
    return own
