"""Find the user of a request from a token that was checked before.

The gateway uses this module on its event loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b

from rest_framework_simplejwt.tokens import AccessToken

from messaging.domain.errors import AuthenticationRequired, TokenExpired
from messaging.http.tokens import bearer_token, mark_of, open_token, user_id_of
from messaging.limits import MAX_TOKEN_BYTES
from messaging.ports.directory import Directory, TokenMark
from messaging.service.access import may_act

MOST_TOKENS = 50_000  # about 25 MB
DIGEST_BYTES = 16


@dataclass(slots=True)
class TokenCache:
    """Open each token once and remember its user until the token expires.

    The directory is asked at every call whether the user may still act by the token, as at the
    other door. The signing key is read when a token is opened, so a changed key needs a new
    process. A digest stands for a token, whatever blanks are around the token in the header.
    """

    now_s: Callable[[], float] = time.time
    _known: dict[bytes, tuple[int, TokenMark, float]] = field(default_factory=dict)

    async def user_of(self, authorization: bytes, directory: Directory) -> int:
        """Return the id of the user of an `Authorization` header.

        Raises: AuthenticationRequired without a bearer token; TokenExpired for a token that is not
        valid any more; TemporarilyUnavailable when that cannot be known.
        """
        encoded = bearer_token(authorization.decode("latin-1"))
        if encoded is None:
            raise AuthenticationRequired
        if len(encoded) > MAX_TOKEN_BYTES:
            raise TokenExpired
        digest = blake2b(encoded.encode("latin-1"), digest_size=DIGEST_BYTES).digest()
        user_id, mark, expires_s = self._known.get(digest) or self._open(encoded, digest)
        if self.now_s() >= expires_s:
            self._known.pop(digest, None)
            raise TokenExpired
        is_active = directory.known_active(user_id, mark)
        if is_active is None:
            is_active = await may_act(directory, user_id, mark)
        if not is_active:
            raise TokenExpired
        return user_id

    def _open(self, encoded: str, digest: bytes) -> tuple[int, TokenMark, float]:
        token = open_token(AccessToken, encoded)
        opened = (user_id_of(token), mark_of(token), float(token["exp"]))
        if len(self._known) >= MOST_TOKENS:
            del self._known[next(iter(self._known))]
        self._known[digest] = opened
        return opened
