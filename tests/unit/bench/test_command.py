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
        connections=[128],
        seconds=10.0,
        warm_s=2.0,
        rate=None,
        users=1_000,
        text_bytes=120,
        load_processes=1,
        sends=100,
        minutes=10,
        patience_s=300.0,
    )


def test_are_chosen_one_by_one() -> None:
    chosen = options(
        *("--connections", "64,1001", "--seconds", "0.5", "--warm-up", "0", "--rate", "70"),
        *("--text-bytes", "60", "--load-processes", "2", "--sends", "7", "--minutes", "3"),
        *("--patience", "1.5"),
    )
    assert (chosen.connections, chosen.users) == ([64, 1_001], 1_002)
    assert (chosen.seconds, chosen.warm_s, chosen.patience_s) == (0.5, 0, 1.5)
    assert (chosen.rate, chosen.text_bytes, chosen.load_processes) == (70, 60, 2)
    assert (chosen.sends, chosen.minutes) == (7, 3)


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--users", "0", "0: a whole number from 1 to 100,000"),
        ("--users", "ten", "ten: a whole number from 1 to 100,000"),
        ("--connections", "8,4097", "4097: a whole number from 1 to 4,096"),
        ("--seconds", "0", "0: seconds from 0.1 to 3,600"),
        ("--seconds", "nan", "nan: seconds from 0.1 to 3,600"),
        ("--url", "https://127.0.0.1:8082", "--url is http://127.0.0.1:PORT"),
    ],
)
def test_that_make_no_sense_are_refused(option: str, value: str, told: str) -> None:
    with pytest.raises(CommandError, match=told):
        options(option, value)
