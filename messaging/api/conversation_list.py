"""Serve the list of conversations, unread numbers, read marks and readers."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from messaging.api.authentication import asking
from messaging.domain.conversation_requests import (
    parse_list,
    parse_partner,
    parse_readers,
    parse_receipts,
)
from messaging.domain.ids import wall_clock_ms
from messaging.http.conversation_representation import (
    present_conversation,
    present_conversations,
    present_marked,
    present_readers,
    present_unread,
)
from messaging.runtime.wiring import run
from messaging.service.conversations import list_conversations, sum_unread, view_conversation
from messaging.service.marks import mark
from messaging.service.readers import list_readers


class ListView(APIView):
    def get(self, request: Request) -> Response:
        user_id, wanted = asking(request).id, parse_list(request.query_params.dict())
        page = run(lambda backends: list_conversations(backends, wanted, reader_id=user_id))
        return Response(present_conversations(page, viewer_id=user_id, now_ms=wall_clock_ms()))


class ConversationView(APIView):
    """Return the conversation with a user, or of a group."""

    def get(self, request: Request) -> Response:
        user_id, wanted = asking(request).id, parse_partner(request.query_params.dict())
        view, partial = run(lambda backends: view_conversation(backends, wanted, reader_id=user_id))
        shown = present_conversation(view, viewer_id=user_id, now_ms=wall_clock_ms())
        return Response({**shown, "partial": partial})


class UnreadView(APIView):
    def get(self, request: Request) -> Response:
        user_id = asking(request).id
        sums = run(lambda backends: sum_unread(backends, reader_id=user_id))
        return Response(present_unread(sums))


class ReceiptsView(APIView):
    """Mark how far the user has read conversations, and has got them."""

    def post(self, request: Request) -> Response:
        user_id = asking(request).id
        marks = parse_receipts(request.data, user_id=user_id)
        marked = run(lambda backends: mark(backends, marks, user_id=user_id))
        return Response(present_marked(marked))


class ReadersView(APIView):
    """Return who has read a message."""

    def get(self, request: Request) -> Response:
        user_id, wanted = asking(request).id, parse_readers(request.query_params.dict())
        readers = run(lambda backends: list_readers(backends, wanted, reader_id=user_id))
        return Response(present_readers(readers))
