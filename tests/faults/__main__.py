"""python -m tests.faults: break real services under load, and account for every message."""

from __future__ import annotations

import os
import sys

import django


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "imsite.settings")
    django.setup()  # before the rig is imported: it knows the models
    from tests.faults.command import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
