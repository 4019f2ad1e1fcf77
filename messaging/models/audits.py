"""Define the table of the scheduled audits."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy

from messaging.database.fields import AsciiText
from messaging.ports.audit_runs import Outcome, Scope


class AuditRun(models.Model):
    """Keep what one scheduled audit has found: numbers, and no ids."""

    scope = AsciiText(max_length=7, choices=[(each.value, each.value) for each in Scope])
    started_at = models.DateTimeField("started")
    ended_at = models.DateTimeField("ended")
    outcome = AsciiText(max_length=10, choices=[(each.value, each.value) for each in Outcome])
    findings = models.JSONField(default=dict)
    unaccounted = models.PositiveBigIntegerField(null=True)
    missing = models.JSONField(default=list)

    class Meta:
        db_table = "audit_run"
        verbose_name = gettext_lazy("audit run")
        verbose_name_plural = gettext_lazy("audit runs")
        default_permissions = ("view",)
        indexes = (
            models.Index(fields=["scope", "id"], name="audit_run_scope_id"),
            models.Index(fields=["started_at"], name="audit_run_started_at"),
        )

    def __str__(self) -> str:
        return f"{self.scope} audit {self.pk}"
