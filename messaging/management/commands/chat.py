"""Run `manage.py chat`: chat with other users of a running site, in a terminal."""

from __future__ import annotations

import getpass
import os
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from messaging.conf import settings
from messaging.terminal.api import Api, Away, Refused
from messaging.terminal.chat import Chat
from messaging.terminal.commands import HELP, list_conversations, run

TEXT = f"""\
  manage.py chat alice                                  ask for alice's password, then chat
  manage.py chat alice --url http://127.0.0.1:8082      the site to chat on
  CHAT_TOKEN=… manage.py chat alice                     chat by an access token

Two terminals with two users chat with each other. Kill one, and start it again: its list, its
unread messages and its ticks are as they would be without the kill. In the chat:

{HELP}
"""


class Command(BaseCommand):
    help = TEXT
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.add_argument("name", metavar="NAME", help="the user's name")
        parser.add_argument("--url", default=settings().site_url, help="the site (%(default)s)")
        parser.add_argument("--token", help="an access token, in place of the password")

    def handle(self, *, name: str, url: str, token: str | None, **options: Any) -> None:
        token = token or os.environ.get("CHAT_TOKEN")
        api = Api(url, token)
        chat = Chat(api, lambda line: self.stdout.write(line))
        try:
            if token is None:
                api.log_in(name, getpass.getpass(f"password of {name}: "))
            chat.begin()
            list_conversations(chat, [])
            run(chat, sys.stdin.fileno())
        except (KeyboardInterrupt, EOFError):  # no password was typed
            self.stdout.write("")
        except Refused as refused:
            raise CommandError(str(refused)) from refused
        except Away as away:
            raise CommandError(
                f"nothing answers at {url} ({away}): start the site with scripts/run, "
                "or give its address with --url"
            ) from away
