"""Keep every receipt of a run, and compare the receipts with the database at the end."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path

from django.db import OperationalError, connection

from bench.check import stored
from bench.check.conversation import CheckFindings, ConversationCheck
from bench.load import receipts
from bench.load.traffic import Account

POLL_S = 0.2
Told = Callable[[int, int], None]  # how many of how many


class Ledger:
    """Keep the receipt files of a run, in the order of its laps, and the senders' conversations."""

    def __init__(self, directory: Path, *, run: str, text_bytes: int) -> None:
        self.sent = 0
        self._directory = directory
        self._run = run
        self._text_bytes = text_bytes
        self._files: list[Path] = []
        self._legible: list[int] = []  # recalled, and not known to be tombstones
        self._conversations: dict[int, str] = {}  # of each sender

    @property
    def conversations(self) -> Sequence[str]:
        return sorted(set(self._conversations.values()))

    def expect(self, accounts: Sequence[Account]) -> None:
        """Add the conversations of these accounts to the run's own conversations."""
        self._conversations |= {account.index: account.conversation_id for account in accounts}

    def lap_file(self, lap: int) -> Path:
        """Return the beginning of the names of a lap's files of receipts."""
        return self._directory / f"lap-{lap:03d}"

    def add(self, lap: int) -> None:
        """Add the files of receipts of a lap that has ended, well or not."""
        files = sorted(self._directory.glob(f"{self.lap_file(lap).name}.*"))
        self._files += files
        for path in files:
            for message_id, tag in receipts.read(path):
                if tag & receipts.RECALLED:
                    self._legible.append(message_id)
                else:
                    self.sent += 1

    def await_stored(self, *, patience_s: float, tell: Told) -> None:
        """Wait until everything acknowledged is stored.

        The wait is given up when nothing changes for `patience_s`. A time without an answer from
        the database counts as one in which nothing changes.
        """
        moved_s, before = time.monotonic(), (-1, 0)
        while True:
            try:
                now = self._look()
            except OperationalError:
                connection.close()
                now = before
            tell(min(now[0], self.sent), self.sent)
            if now[0] >= self.sent and not self._legible:
                return
            if now != before:
                moved_s, before = time.monotonic(), now
            if time.monotonic() - moved_s > patience_s:
                return
            time.sleep(POLL_S)

    def _look(self) -> tuple[int, int]:
        """Return how many messages are stored, and how many recalled ones are no tombstones yet."""
        count = stored.count_of(self.conversations)
        if count >= self.sent:
            self._legible = stored.legible_of(self._legible)
        return count, len(self._legible)

    def check(self, tell: Told) -> CheckFindings:
        """Compare every conversation with the database, one after the other."""
        total = CheckFindings()
        for name, items in self._by_conversation().items():
            conversation = ConversationCheck(items, run=self._run, text_bytes=self._text_bytes)
            total.add(conversation.examine(stored.rows_of(name)))
            tell(total.acknowledged, self.sent)
        return total

    def _by_conversation(self) -> dict[str, array[int]]:
        """Return the ids and tags of each conversation's messages, in each sender's order.

        A message takes 16 bytes.
        """
        found = {name: array("Q") for name in self.conversations}
        of_sender = {index: found[name] for index, name in self._conversations.items()}
        for path in self._files:
            for message_id, tag in receipts.read(path):
                of_sender[receipts.sender_of(tag)].extend((message_id, tag))
        return found
