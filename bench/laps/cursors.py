"""Let the users of a lap catch up with their conversations before the lap."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Sequence
from dataclasses import replace

from bench.load.run import LoadFailed
from bench.load.traffic import Account, TargetSite

TIMEOUT_S = 30.0
MOST_CALLS = 1_000
SETTLED = (
    3  # rounds: the next one proves what the client got, and the last one finds its list known
)


def caught_up(site: TargetSite, accounts: Sequence[Account]) -> tuple[list[Account], int]:
    """Return the accounts with cursors to which nothing is new, and how much was new before.

    The number counts the conversations that the answers of each first round told of.

    Raises: LoadFailed when the service answers anything else than a sync.
    """
    client = http.client.HTTPConnection(site.host, site.port, timeout=TIMEOUT_S)
    told, done = 0, []
    with contextlib.closing(client):
        for account in accounts:
            cursor, new = _follow(client, account.token, account.cursor)
            told += new
            for _ in range(SETTLED - 1):
                cursor, _new = _follow(client, account.token, cursor)
            done.append(replace(account, cursor=cursor))
    return done, told


def _follow(
    client: http.client.HTTPConnection, token: str, cursor: str | None
) -> tuple[str | None, int]:
    """Return the cursor after a round of syncs, and how many conversations the round told of."""
    told, has_more = 0, True
    for _ in range(MOST_CALLS):
        if not has_more:
            break
        cursor, has_more, conversations = _sync(client, token, cursor)
        told += conversations
    return cursor, told


def _sync(
    client: http.client.HTTPConnection, token: str, cursor: str | None
) -> tuple[str, bool, int]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        client.request("POST", "/api/sync", json.dumps({"cursor": cursor}), headers)
        answer = client.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise LoadFailed(f"a sync got no answer ({error})") from error
    if answer.status != 200:
        raise LoadFailed(f"a sync was answered {answer.status}")
    data = json.loads(text)["data"]
    return data["cursor"], data["hasMore"], len(data["conversations"])
