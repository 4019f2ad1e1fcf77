"""Copies of the checkout, one mutated, and checks that run in them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.mutations.mutations import Mutation

ROOT = Path(__file__).parents[2]
COPIED = (
    *("imsite", "messaging", "bench", "tests"),
    *("manage.py", "pyproject.toml", "compose", "scripts"),
)
CHECK_TIMEOUT_S = 900.0


class NotFound(Exception):
    """The text that a mutation replaces is not in its file exactly once: bring it up to date."""


@contextmanager
def copy_of_checkout() -> Iterator[Path]:
    """A directory with the code as it is, which is removed in the end."""
    with TemporaryDirectory(prefix="im-mutation-") as name:
        for part in COPIED:
            source, target = ROOT / part, Path(name, part)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        yield Path(name)


@contextmanager
def mutated(mutation: Mutation) -> Iterator[Path]:
    """A copy with this mutation. Raises NotFound."""
    text = mutated_text(mutation)
    with copy_of_checkout() as copy:
        (copy / mutation.path).write_text(text)
        yield copy


def mutated_text(mutation: Mutation) -> str:
    """The mutated file. Raises NotFound."""
    text = (ROOT / mutation.path).read_text()
    if text.count(mutation.old) != 1:
        raise NotFound(f"{mutation.name}: {text.count(mutation.old)} times in {mutation.path}")
    return text.replace(mutation.old, mutation.new)


def passes(check: Sequence[str], copy: Path) -> tuple[bool, str]:
    """Whether the check passes in the copy, and what it said."""
    done = subprocess.run(
        [sys.executable, *check],
        cwd=copy,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=CHECK_TIMEOUT_S,
        check=False,
    )
    return done.returncode == 0, done.stdout
