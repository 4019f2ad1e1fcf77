"""Serve the calls on conversations: each parses, runs one use case and represents the result."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from messaging.api.authentication import asking
from messaging.domain.conversation_requests import parse_clear, parse_set
from messaging.domain.ids import wall_clock_ms
from messaging.http.settings_representation import present_cleared, present_settings
from messaging.runtime.wiring import run
from messaging.service.conversation_settings import clear, set_state


class SetView(APIView):
    def post(self, request: Request) -> Response:
        user_id, wanted = asking(request).id, parse_set(request.data)
        entry = run(lambda backends: set_state(backends, wanted, user_id=user_id))
        return Response(present_settings(entry, now_ms=wall_clock_ms()))


class ClearView(APIView):
    def post(self, request: Request) -> Response:
        user_id, conversation_id = asking(request).id, parse_clear(request.data)
        participant = run(lambda backends: clear(backends, conversation_id, user_id=user_id))
        return Response(present_cleared(participant))
