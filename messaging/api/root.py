"""Answer `GET /` with the name of the service and the paths to go on to.

The answer has names and paths alone, in no language.
"""

from __future__ import annotations

from django.urls import NoReverseMatch, reverse
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class RootView(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get(self, request: Request) -> Response:
        places = {
            "service": "IM message service",
            "documentation": "README.md, README.zh-CN.md",
            "api": "/api/",
            "health": "/api/health",
            "admin": _admin(),
        }
        return Response({name: place for name, place in places.items() if place})


def _admin() -> str:
    """Return the path of the admin, or an empty text where the site has no admin."""
    try:
        return reverse("admin:index")
    except NoReverseMatch:
        return ""
