"""Test which log a URL opens, and the error for a URL that opens none."""

from __future__ import annotations

import asyncio

import pytest
from django.core.exceptions import ImproperlyConfigured

from messaging.conf import Settings
from messaging.eventlog import check_url, create_topics, open_log, open_reader
from messaging.eventlog.kafka.writer import KafkaEventLog
from messaging.eventlog.redis_streams.reader import RedisStreamsLogReader
from messaging.eventlog.redis_streams.writer import RedisStreamsEventLog


def settings(url: str) -> Settings:
    return Settings(redis_url="redis://127.0.0.1:1", event_log_url=url)


class TestOpening:
    async def test_the_scheme_decides_and_nothing_is_connected(self) -> None:
        kafka = open_log("kafka://127.0.0.1:1,127.0.0.1", settings(""))
        streams = open_log("redis://127.0.0.1:1/0", settings(""))
        assert isinstance(kafka, KafkaEventLog)
        assert isinstance(streams, RedisStreamsEventLog)
        await asyncio.gather(kafka.close(), streams.close())

    async def test_readers_come_from_the_same_table(self) -> None:
        reader = open_reader("unix:///var/run/redis.sock", settings(""))
        assert isinstance(reader, RedisStreamsLogReader)
        await reader.close()

    def test_streams_need_no_topics_made(self) -> None:
        assert create_topics("redis://127.0.0.1:1/0", settings("")) == {}


class TestRefusing:
    @pytest.mark.parametrize(
        ("url", "hint"),
        [
            ("kafak://broker:9092", "did you mean kafka://"),
            ("KAFKA://broker:9092", "did you mean kafka://"),
            ("redsi://127.0.0.1", "did you mean redis://"),
            ("broker:9092", "known: kafka, redis"),
            ("kafka", "did you mean kafka://"),
            ("", "known: kafka, redis"),
            ("kafka://", "kafka://host:9092"),
            ("kafka:///", "kafka://host:9092"),
        ],
    )
    def test_says_what_may_have_been_meant(self, url: str, hint: str) -> None:
        with pytest.raises(ImproperlyConfigured) as refused:
            check_url(url)
        assert hint in str(refused.value)

    def test_a_password_in_the_url_is_not_repeated(self) -> None:
        with pytest.raises(ImproperlyConfigured) as refused:
            open_log("redsi://:secret@127.0.0.1", settings(""))
        assert "secret" not in str(refused.value)
