"""Test the options of `manage.py bench`."""

from __future__ import annotations

import pytest
from django.core.management.base import CommandError

from bench.laps.bench import Options
from bench.management.commands import bench


def options(*arguments: str) -> Options:
    parser = bench.Command().create_parser("manage.py", "bench")
    return bench._options(vars(parser.parse_args(["--url", "http://127.0.0.1:8082", *arguments])))


def test_are_those_of_the_help() -> None:
    assert options() == Options(
        host="127.0.0.1",
        port=8082,
        connections=[1, 8, 16, 32, 64, 256],
        seconds=10.0,
        warm_s=2.0,
        warm_service_s=60.0,
        rates=[],
        users=1_000,
        group_members=2_000,
        text_bytes=120,
        load_processes=1,
        sends=100,
        minutes=10,
        patience_s=300.0,
    )


def test_are_chosen_one_by_one() -> None:
    chosen = options(
        *("--connections", "64,1001", "--seconds", "0.5", "--warm-up", "0", "--rate", "70,80"),
        *("--text-bytes", "60", "--load-processes", "2", "--sends", "7", "--minutes", "3"),
        *("--patience", "1.5", "--group-members", "100000"),
    )
    assert (chosen.connections, chosen.users) == ([64, 1_001], 1_002)
    assert (chosen.seconds, chosen.warm_s, chosen.patience_s) == (0.5, 0, 1.5)
    assert (chosen.rates, chosen.text_bytes, chosen.load_processes) == ([70, 80], 60, 2)
    assert (chosen.sends, chosen.minutes, chosen.group_members) == (7, 3, 100_000)


def test_are_shorter_with_short_unless_they_are_given() -> None:
    short = options("--short", "--seconds", "5")
    assert (short.seconds, short.warm_s, short.warm_service_s) == (5, 1, 20)
    parsed = vars(bench.Command().create_parser("manage.py", "bench").parse_args(["--short"]))
    assert bench._chosen(parsed) == ["closed", "open", "lone"]


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--users", "0", "0: a whole number from 1 to 100,000"),
        ("--users", "ten", "ten: a whole number from 1 to 100,000"),
        ("--group-members", "1", "1: a whole number from 2 to 1,000,000"),
        ("--connections", "8,4097", "4097: a whole number from 1 to 4,096"),
        ("--seconds", "0", "0: seconds from 0.1 to 3,600"),
        ("--seconds", "nan", "nan: seconds from 0.1 to 3,600"),
        ("--url", "https://127.0.0.1:8082", "--url is http://127.0.0.1:PORT"),
    ],
)
def test_that_make_no_sense_are_refused(option: str, value: str, told: str) -> None:
    with pytest.raises(CommandError, match=told):
        options(option, value)
