"""Define the errors that a client is told, typed by what the client should do about each.

An `ApiError` is anticipated: a door renders its `code`, its `http_status` and its `data`, and never
logs it as a failure. The errors of the backends are in `backend_errors`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar


class MessagingError(Exception):
    """Serve as the base of all errors of this application.

    The first line of a subclass's docstring is its default text, which clients and logs show.
    """

    def __init__(self, text: str | None = None) -> None:
        super().__init__(text or self.default_text())

    @classmethod
    def default_text(cls) -> str:
        return (cls.__doc__ or cls.__name__).strip().splitlines()[0]


class ApiError(MessagingError):
    """The request is refused.

    `code`: the business code or the HTTP status.
    `data`: sent beside the code.
    `retry_after_s`: sent as the `Retry-After` header.
    """

    code: ClassVar[int] = 400
    http_status: ClassVar[int] = 400
    retry_after_s: int | None = None

    @property
    def data(self) -> Mapping[str, object] | None:
        return None


class InvalidInput(ApiError):
    """The request is not well formed."""

    def __init__(self, errors: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self.errors = errors

    @property
    def data(self) -> Mapping[str, object]:
        return {"errors": {field: list(texts) for field, texts in self.errors.items()}}


class AuthenticationRequired(ApiError):
    """This call needs an access token; log in to get one."""

    code = http_status = 401


class PathNotFound(ApiError):
    """There is nothing at this address."""

    code = http_status = 404


class MethodNotAllowed(ApiError):
    """This address does not support this method."""

    code = http_status = 405


class RequestTimeout(ApiError):
    """The request did not arrive in time; send it again."""

    code = http_status = 408


class BodyTooLarge(ApiError):
    """The request body is too large."""

    code = http_status = 413


class ServerError(ApiError):
    """The server failed and logged the error; try again later."""

    code = http_status = 500


class UserNameTaken(ApiError):
    """This user name is taken."""

    code, http_status = 1001, 409


class UserNotFound(ApiError):
    """There is no such user."""

    code, http_status = 1002, 404


class WrongCredentials(ApiError):
    """Wrong user name or password."""

    code, http_status = 1003, 401


class TokenExpired(ApiError):
    """The token has expired or is not valid."""

    code, http_status = 1004, 401


class Blocked(ApiError):
    """This user takes no messages from you."""

    code, http_status = 2005, 403


class ConversationNotFound(ApiError):
    """There is no such conversation."""

    code, http_status = 2007, 404


class SendFailed(ApiError):
    """The message was not accepted; send it again with the same clientMsgId."""

    code, http_status, retry_after_s = 3001, 503, 1


class MessageNotFound(ApiError):
    """There is no such message."""

    code, http_status = 3002, 404


class AlreadyRecalled(ApiError):
    """This message has already been recalled."""

    code, http_status = 3003, 409


class RecallWindowPassed(ApiError):
    """The time limit to recall this message has passed."""

    code, http_status = 3004, 403


class NotTheSender(ApiError):
    """This message is not yours to recall."""

    code, http_status = 3005, 403


class NotYourMessage(NotTheSender):
    """Only the sender of a message is told who has read it."""


class ClientMsgIdReused(ApiError):
    """This clientMsgId was used for another message."""

    code, http_status = 3006, 422


class TooMany(ApiError):
    """There are too many already."""

    code, http_status = 3011, 409

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    @property
    def data(self) -> Mapping[str, object]:
        return {"limit": self._limit}


class GroupNotFound(ApiError):
    """There is no such group."""

    code, http_status = 4001, 404


class NotAMember(ApiError):
    """You are not a member of this group."""

    code, http_status = 4002, 403


class RoleTooLow(ApiError):
    """Your role in this group does not allow this."""

    code, http_status = 4003, 403


class ReceiptsHidden(RoleTooLow):
    """You show no receipts, so you see none."""


class MutedInGroup(ApiError):
    """You are muted in this group."""

    code, http_status = 4004, 403

    def __init__(self, muted_until: int) -> None:
        super().__init__()
        self._muted_until = muted_until  # 0: for good

    @property
    def data(self) -> Mapping[str, object]:
        return {"mutedUntil": self._muted_until}


class GroupFull(ApiError):
    """The group is full."""

    code, http_status = 4005, 409


class OwnerMustHandOver(ApiError):
    """The owner must hand the group over first."""

    code, http_status = 4006, 409


class GroupDissolved(ApiError):
    """The group was dissolved."""

    code, http_status = 4007, 409


class NotAdmitted(ApiError):
    """This group does not admit you."""

    code, http_status = 4008, 403

    def __init__(self, reason: str) -> None:
        super().__init__()
        self._reason = reason  # banned, or invite: only by invitation

    @property
    def data(self) -> Mapping[str, object]:
        return {"reason": self._reason}


class GroupTooLarge(ApiError):
    """The group is too large for this."""

    code, http_status = 4009, 409


class TooManyRequests(ApiError):
    """Too many requests; try again after the seconds in Retry-After."""

    code, http_status = 4290, 429

    def __init__(self, wait_s: float = 1.0) -> None:
        super().__init__()
        self.retry_after_s = max(1, math.ceil(wait_s))


class QueueFull(TooManyRequests):
    """Too many requests; try again after the seconds in Retry-After.

    Too many sends of all users wait in this process.
    """


class TemporarilyUnavailable(ApiError):
    """Temporarily unavailable; try again shortly."""

    code, http_status, retry_after_s = 5030, 503, 1


class RightsDoubted(TemporarilyUnavailable):
    """Temporarily unavailable; try again shortly.

    The sender's right to write to a group has to be asked for afresh.
    `score`: to be asked after (`GroupAccess.asked_after`), 0 where no score is known.
    `not_before_ms`: the message needs an id of a later time; 0 where any id will do.
    `may_be_taken`: a backend may have taken the message under its present id.
    """

    def __init__(
        self, score: int = 0, not_before_ms: int = 0, *, may_be_taken: bool = False
    ) -> None:
        super().__init__()
        self.score, self.not_before_ms = score, not_before_ms
        self.may_be_taken = may_be_taken


class TooMuchPending(TemporarilyUnavailable):
    """Temporarily unavailable; try again shortly.

    Too many accepted messages are not stored yet.
    """


class IdsUnavailable(TemporarilyUnavailable):
    """No message id can be given now: the clock moved back or no worker id could be leased."""
