"""Serve the calls by which a client keeps up: sync, and the messages of a gap."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from messaging.api.authentication import asking
from messaging.api.drf import StrictJSONParser
from messaging.domain.ids import wall_clock_ms
from messaging.domain.sync_requests import parse_span, parse_sync
from messaging.http.sync_representation import present_span, present_sync
from messaging.limits import MAX_SYNC_BODY_BYTES
from messaging.runtime.wiring import run
from messaging.service.span import read_span
from messaging.service.sync import sync


class SyncParser(StrictJSONParser):
    most_bytes = MAX_SYNC_BODY_BYTES


class SyncView(APIView):
    parser_classes = (SyncParser,)

    def post(self, request: Request) -> Response:
        user_id = asking(request).id
        wanted = parse_sync(request.data, own_id=user_id)
        answer = run(lambda backends: sync(backends, wanted, reader_id=user_id))
        return Response(present_sync(answer, viewer_id=user_id, now_ms=wall_clock_ms()))


class SpanView(APIView):
    """Return messages of a conversation by their `seq`."""

    def get(self, request: Request) -> Response:
        user_id, wanted = asking(request).id, parse_span(request.query_params.dict())
        page = run(lambda backends: read_span(backends, wanted, reader_id=user_id))
        return Response(present_span(page, viewer_id=user_id))
