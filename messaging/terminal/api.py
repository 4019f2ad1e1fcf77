"""Call the API over HTTP, for the terminal client."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlencode

TIMEOUT_S = 15.0
TOKEN_EXPIRED = 1004


class Away(Exception):
    """Report that the server does not answer now; the call may be repeated."""


class Refused(Exception):
    """Report that the server has refused a call; the text says why."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Api:
    """Call the API as one user; no proxy is asked."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._refresh: str | None = None
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def log_in(self, name: str, password: str) -> None:
        """Log in, and keep the tokens for the calls that follow.

        Raises: Refused; Away.
        """
        tokens = self._call("POST", "/user/login", {"username": name, "password": password})
        self._token, self._refresh = tokens["token"], tokens["refresh"]

    def get(self, path: str, **query: object) -> Any:
        """Return the data of an answer.

        Raises: Refused; Away.
        """
        return self._renewing("GET", path + (f"?{urlencode(query)}" if query else ""), None)

    def post(self, path: str, **body: object) -> Any:
        """Return the data of an answer.

        Raises: Refused; Away.
        """
        return self._renewing("POST", path, body)

    def _renewing(self, method: str, path: str, body: object) -> Any:
        """Call; where the token has expired, get a new one and call again."""
        try:
            return self._call(method, path, body)
        except Refused as refused:
            if refused.code != TOKEN_EXPIRED or self._refresh is None:
                raise
        used, self._token = self._refresh, None
        tokens = self._call("POST", "/token/refresh", {"refresh": used})
        self._token, self._refresh = tokens["access"], tokens["refresh"]
        return self._call(method, path, body)

    def _call(self, method: str, path: str, body: object) -> Any:
        request = urllib.request.Request(f"{self._url}/api{path}", method=method)
        request.add_header("Content-Type", "application/json")
        if self._token is not None:
            request.add_header("Authorization", f"Bearer {self._token}")
        data = None if body is None else json.dumps(body).encode()
        try:
            with self._opener.open(request, data, timeout=TIMEOUT_S) as answer:
                return json.loads(answer.read())["data"]
        except urllib.error.HTTPError as error:
            raise _error_of(error) from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Away(str(error)) from error


def _error_of(error: urllib.error.HTTPError) -> Exception:
    if error.code == 429 or error.code >= 500:
        return Away(f"status {error.code}")
    try:
        answer = json.loads(error.read())
        wrong = (answer["data"] or {}).get("errors", {})
        texts = [f"{field}: {' '.join(each)}" for field, each in wrong.items()]
        return Refused(answer["code"], "; ".join([answer["message"], *texts]))
    except (ValueError, KeyError, TypeError):
        return Refused(error.code, f"status {error.code}")
