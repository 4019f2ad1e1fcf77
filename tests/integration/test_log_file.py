"""Test the log file under several processes at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WRITER = """
import logging.config, sys
from pathlib import Path
from imsite.logs import logging_config
config = logging_config(directory=Path(sys.argv[1]), level="INFO", style="plain")
config["handlers"]["file"] |= {"maxBytes": int(sys.argv[3]), "backupCount": 100}
logging.config.dictConfig(config)
for number in range(int(sys.argv[4])):
    logging.getLogger("writer").info("line", extra={"writer": sys.argv[2], "number": number})
"""


def test_processes_that_write_and_rotate_together_lose_no_line(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, tmp_path, name, "20000", "1000"],
            stdout=subprocess.DEVNULL,
        )
        for name in ("one", "two", "three")
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    files = list(tmp_path.glob("im-message.log*"))
    assert len(files) > 5
    lines = [line for file in files for line in file.read_text().splitlines()]
    told = {tuple(line.split()[-2:]) for line in lines}
    assert len(lines) == 3_000
    assert told == {
        (f"writer={name}", f"number={number}")
        for name in ("one", "two", "three")
        for number in range(1_000)
    }


def test_a_process_whose_output_nobody_reads_goes_on_and_ends(tmp_path: Path) -> None:
    """The output is blocked as by a terminal after Ctrl-S, or by a log driver that is stuck."""
    command = [sys.executable, "-c", WRITER, tmp_path, "one", "100000000", "15000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.wait(100) == 0
        assert writer.stdout
        shown = writer.stdout.read().splitlines()
    lines = (tmp_path / "im-message.log").read_text().splitlines()
    assert len(lines) == 15_000
    assert 0 < len(shown) < 15_000


def test_a_process_whose_output_is_read_shows_all_of_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, tmp_path, "one", "100000000", "1000"]
    shown = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60).stdout
    assert shown == (tmp_path / "im-message.log").read_bytes()
