"""Make Django's WSGI application, which the front door runs in its threads."""

from __future__ import annotations

import os
from typing import Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "imsite.settings")
application: Any = get_wsgi_application()
