"""Answer `GET /` with the name of the service and the paths to go on to.

The answer has names and paths alone, in no language.
"""

from __future__ import annotations

from django.urls import reverse
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class RootView(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get(self, request: Request) -> Response:
        return Response(
            {
                "service": "IM message service",
                "documentation": "README.md, README.zh-CN.md",
                "api": "/api/",
                "health": "/api/health",
                "admin": reverse("admin:index"),
            }
        )
