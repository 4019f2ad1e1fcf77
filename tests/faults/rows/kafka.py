"""Define the faults in which Kafka is away or slow."""

from __future__ import annotations

from tests.faults.rows.fault import CACHE, Fault, away_at_start, cut_off, frozen, killed
from tests.support.proxy import Mode

FAULTS = (
    Fault(name="kafka-killed", about="Kafka: SIGKILL", strike=killed("kafka"), accepts=CACHE),
    Fault(
        name="kafka-frozen",
        about="Kafka: SIGSTOP; it holds its connections",
        strike=frozen("kafka"),
        accepts=CACHE,
    ),
    Fault(
        name="kafka-black-hole",
        about="Kafka: nothing gets there or back until the heal, and then all of it",
        strike=cut_off("kafka"),
        accepts=CACHE,
    ),
    Fault(
        name="kafka-mute",
        about="Kafka: calls arrive, answers do not",
        strike=cut_off("kafka", mode=Mode.MUTE),
        accepts=CACHE,
    ),
    Fault(
        name="kafka-reset",
        about="Kafka: every connection is reset",
        strike=cut_off("kafka", mode=Mode.RESET),
        accepts=CACHE,
    ),
    Fault(
        name="kafka-cut",
        about="Kafka: connections break in the middle of an answer",
        strike=cut_off("kafka", mode=Mode.CUT, amount=2_000),
    ),
    Fault(
        name="kafka-slow",
        about="Kafka: 100 ms later in each direction",
        strike=cut_off("kafka", mode=Mode.DELAY, amount=0.1),
        accepts=CACHE,
    ),
    Fault(
        name="kafka-away-at-start",
        about="Kafka: away while the web starts",
        strike=away_at_start("kafka"),
    ),
)
