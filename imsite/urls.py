"""Name the routes of the site."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from messaging.api.root import RootView

urlpatterns = [
    path("", RootView.as_view()),
    path("api/", include("messaging.urls")),
    path("admin", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
]

handler400 = "messaging.api.fallback.handle_400"
handler404 = "messaging.api.fallback.handle_404"
handler500 = "messaging.api.fallback.handle_500"
