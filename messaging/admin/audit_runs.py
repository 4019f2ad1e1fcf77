"""Show the results of the scheduled audits; nobody changes one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from messaging.admin.display import NOTHING, age
from messaging.admin.keyset import KeysetChangeList, ReadOnlyAdmin
from messaging.models import AuditRun
from messaging.ports.audit_runs import Outcome, Scope


class ScopeFilter(admin.SimpleListFilter):
    title = gettext_lazy("scope")
    parameter_name = "scope"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        return [(each.value, LABELS[each]) for each in Scope]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(scope=self.value()) if self.value() else queryset


class AuditRunChangeList(KeysetChangeList):
    def index(self) -> str | None:
        return "audit_run_scope_id" if self.params.get(ScopeFilter.parameter_name) else None


LABELS = {
    Scope.HOURLY: gettext_lazy("hourly"),
    Scope.NIGHTLY: gettext_lazy("nightly"),
    Outcome.CLEAN: gettext_lazy("clean"),
    Outcome.FAULTY: gettext_lazy("faulty"),
    Outcome.INCOMPLETE: gettext_lazy("incomplete"),
}


@admin.register(AuditRun)
class AuditRunAdmin(ReadOnlyAdmin):
    change_list = AuditRunChangeList
    list_display = ("id", "scope_shown", "began", "took", "result", "lost", "found", "not_read")
    list_filter = (ScopeFilter,)
    lookups = frozenset({"scope"})
    empty_list_text = "No audit has run yet: start Celery's beat and a worker."
    fields = (("scope_shown", "result"), ("began", "took"), "lost", "found", "not_read")

    @admin.display(description=gettext_lazy("scope"))
    def scope_shown(self, row: AuditRun) -> Any:
        return LABELS[Scope(row.scope)]

    @admin.display(description=gettext_lazy("started (UTC)"))
    def began(self, row: AuditRun) -> str:
        return f"{row.started_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"

    @admin.display(description=gettext_lazy("duration"))
    def took(self, row: AuditRun) -> str:
        return age((row.ended_at - row.started_at).total_seconds())

    @admin.display(description=gettext_lazy("outcome"))
    def result(self, row: AuditRun) -> Any:
        return LABELS[Outcome(row.outcome)]

    @admin.display(description=gettext_lazy("unaccounted messages"))
    def lost(self, row: AuditRun) -> str:
        return NOTHING if row.unaccounted is None else f"{row.unaccounted:,}"

    @admin.display(description=gettext_lazy("findings"))
    def found(self, row: AuditRun) -> str:
        return ", ".join(f"{kind}: {n:,}" for kind, n in row.findings.items()) or NOTHING

    @admin.display(description=gettext_lazy("not read"))
    def not_read(self, row: AuditRun) -> str:
        return ", ".join(row.missing) or NOTHING
