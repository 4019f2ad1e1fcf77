"""Copy the checkout, mutate one copy, and run checks in it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.mutations.mutation import Mutation

ROOT = Path(__file__).parents[2]
COPIED = (
    *("imsite", "messaging", "bench", "tests"),
    *("manage.py", "pyproject.toml", "compose", "scripts"),
)
CHECK_TIMEOUT_S = 900.0


class NotFound(Exception):
    """Say that a mutation's text is not in its file exactly once; the mutation needs an update."""


@contextmanager
def copy_of_checkout() -> Iterator[Path]:
    """Yield a directory with a copy of the code, which is removed at the end."""
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
    """Yield a copy of the checkout with this mutation.

    Raises: NotFound.
    """
    text = mutated_text(mutation)
    with copy_of_checkout() as copy:
        (copy / mutation.path).write_text(text)
        yield copy


def mutated_text(mutation: Mutation) -> str:
    """Return the mutated text of the mutation's file.

    Raises: NotFound.
    """
    text = (ROOT / mutation.path).read_text()
    if text.count(mutation.old) != 1:
        raise NotFound(f"{mutation.name}: {text.count(mutation.old)} times in {mutation.path}")
    return text.replace(mutation.old, mutation.new)


def passes(check: Sequence[str], copy: Path) -> tuple[bool, str]:
    """Tell whether the check passes in the copy, and return its output."""
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
