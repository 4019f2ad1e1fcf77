"""Connect DRF to the envelope: its renderer, its parser, and its handler of exceptions.

`imsite.settings` names them. Anticipated errors are answered and not logged, apart from a database
that does not answer, which is a warning. Any other error is logged with its trace and answered as a
500 without one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import IO, Any

from django.core.exceptions import SuspiciousOperation
from django.db import InterfaceError, OperationalError
from rest_framework.exceptions import (
    AuthenticationFailed,
    NotAuthenticated,
    ValidationError,
)
from rest_framework.exceptions import MethodNotAllowed as DrfMethodNotAllowed
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.response import Response
from rest_framework_simplejwt.exceptions import InvalidToken

from messaging.domain.errors import (
    ApiError,
    AuthenticationRequired,
    BodyTooLarge,
    InvalidInput,
    MethodNotAllowed,
    ServerError,
    TemporarilyUnavailable,
    TokenExpired,
    WrongCredentials,
)
from messaging.domain.request_fields import FieldError
from messaging.http import envelope as answers
from messaging.http.parsing import decode_object
from messaging.limits import MAX_BODY_BYTES

logger = logging.getLogger(__name__)


class EnvelopeRenderer(BaseRenderer):
    """Wrap the answer of a view in the envelope.

    The answers of `handle_exception` are wrapped already.
    """

    media_type = answers.CONTENT_TYPE
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        assert renderer_context is not None
        response: Response = renderer_context["response"]
        for name, value in answers.HEADERS.items():
            response[name] = value
        return answers.encode(data if response.exception else answers.success(data))


def handle_exception(raised: Exception, context: Mapping[str, Any]) -> Response:
    """Turn every exception into an answer in the envelope, as DRF's EXCEPTION_HANDLER."""
    error = _as_api_error(raised)
    if error is None:
        request = context["request"]
        logger.error(
            "a request failed",
            exc_info=raised,
            extra={"action": "request.failed", "method": request.method, "path": request.path},
        )
        error = ServerError()
    return Response(
        answers.failure(error), status=error.http_status, headers=answers.headers_of(error)
    )


def _as_api_error(raised: Exception) -> ApiError | None:
    """Return the API's error for an exception, or None for an exception that nobody anticipated."""
    match raised:
        case ApiError():
            return raised
        case InvalidToken():
            return TokenExpired()
        case AuthenticationFailed():  # how simplejwt refuses a name and password
            return WrongCredentials()
        case NotAuthenticated():
            return AuthenticationRequired()
        case DrfMethodNotAllowed():
            return MethodNotAllowed()
        case ValidationError(detail=dict() as detail):
            return InvalidInput({field: list(map(str, texts)) for field, texts in detail.items()})
        case SuspiciousOperation():
            return InvalidInput({"request": [FieldError.REQUEST]})
        case OperationalError() | InterfaceError():
            logger.warning(
                "the database did not answer a request",
                extra={"action": "request.database_unavailable", "error": type(raised).__name__},
            )
            return TemporarilyUnavailable()
    return None


class StrictJSONParser(BaseParser):
    media_type = "*/*"
    most_bytes = MAX_BODY_BYTES

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, object]:
        """Decode a body into a JSON object.

        Of a body that is too large `imsite.django_door` hands on the length alone.

        Raises: BodyTooLarge, InvalidInput.
        """
        meta = (parser_context or {})["request"].META
        if int(meta.get("CONTENT_LENGTH") or 0) > self.most_bytes:
            raise BodyTooLarge
        return decode_object(stream.read(), most=self.most_bytes)
