"""Serve the calls on messages.

Each call parses, runs one use case and represents the result.
"""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from messaging.api.authentication import asking
from messaging.domain.requests import (
    parse_history,
    parse_message_id,
    parse_message_reference,
    parse_send,
)
from messaging.http.representation import present_message, present_page, present_receipt
from messaging.runtime.wiring import run
from messaging.service.delete import delete
from messaging.service.fetch import fetch
from messaging.service.history import history
from messaging.service.recall import recall
from messaging.service.send import send


class SendView(APIView):
    def post(self, request: Request) -> Response:
        user_id, wanted = asking(request).id, parse_send(request.data)
        receipt = run(lambda backends: send(backends, wanted, sender_id=user_id))
        return Response(present_receipt(receipt))


class RecallView(APIView):
    def post(self, request: Request) -> Response:
        user_id, message_id = asking(request).id, parse_message_reference(request.data)
        tombstone = run(lambda backends: recall(backends, message_id, user_id=user_id))
        return Response({"messageId": str(message_id), "recallTime": tombstone.recall_time})


class DeleteView(APIView):
    def post(self, request: Request) -> Response:
        return _delete(parse_message_reference(request.data), user_id=asking(request).id)


class HistoryView(APIView):
    def get(self, request: Request) -> Response:
        user_id, wanted = asking(request).id, parse_history(request.query_params.dict())
        page = run(lambda backends: history(backends, wanted, reader_id=user_id))
        return Response(present_page(page, viewer_id=user_id))


class MessageView(APIView):
    """Return or delete one message, by the id in the path."""

    def get(self, request: Request, message_id: str) -> Response:
        user_id, wanted = asking(request).id, parse_message_id(message_id)
        message = run(lambda backends: fetch(backends, wanted, reader_id=user_id))
        return Response(present_message(message, viewer_id=user_id))

    def delete(self, request: Request, message_id: str) -> Response:
        return _delete(parse_message_id(message_id), user_id=asking(request).id)


def _delete(message_id: int, *, user_id: int) -> Response:
    run(lambda backends: delete(backends, message_id, user_id=user_id))
    return Response({"messageId": str(message_id)})
