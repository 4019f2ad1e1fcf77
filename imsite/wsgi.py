"""Django alone under WSGI, for `manage.py runserver`; the service itself runs `imsite.asgi`."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "imsite.settings")
application = get_wsgi_application()
