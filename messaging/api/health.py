"""Report the state of the parts that this process depends on, to anybody who asks.

The answer holds nothing but the states of the circuit breakers and of the clock, whether a process
sweeps, and whether a consumer is held. A monitor learns what is away, and nobody learns a number.
"""

from __future__ import annotations

from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from messaging.runtime import wiring


def health() -> dict[str, str]:
    """Return the state of each part, by its name."""
    return {name: state.value for name, state in wiring.breaker_states().items()}


class HealthView(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get(self, request: Request) -> Response:
        return Response(health())
