"""Break real services under load, and account for every message: `python -m tests.faults`."""

from __future__ import annotations

import os
import sys

import django


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "imsite.settings")
    django.setup()  # before the import of the rig, which needs the models
    try:
        from tests.faults.command import main as run
    except ModuleNotFoundError as error:
        print(f"{error}: run scripts/test once, which installs the packages", file=sys.stderr)
        return 2
    return run()


if __name__ == "__main__":
    sys.exit(main())
