"""Page through lists quickly, however long the table is: no counting, no offsets, newest first.

A page is the rows below `?before=<id>`, found by an index, and a link to the next page. Every list
of the admin that can grow without bound is one of these.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, Q, QuerySet
from django.db.models.expressions import Combinable
from django.http import HttpRequest
from django.utils.text import capfirst

from messaging.domain.message import ID_MAX
from messaging.store.by_index import by_index

BEFORE = "before"
LAST_CHARACTER = "\U0010ffff"


class KeysetChangeList(ChangeList):
    """Show one page of rows.

    `next_before` is the id below which the next page begins, None on the last page.
    `searched_down_to` is set when the search was given up at that id with the page not full.
    """

    before: int
    next_before: int | None
    searched_down_to: int | None

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        self.before = _read_before(request)
        super().__init__(request, *args, **kwargs)
        self.title = capfirst(str(self.opts.verbose_name_plural))

    def get_queryset(
        self, request: HttpRequest, exclude_parameters: list[str | None] | None = None
    ) -> QuerySet[Any]:
        # A filter or a search that is chosen now begins at the top again.
        for params in (self.params, self.filter_params):
            params.pop(BEFORE, None)
        return super().get_queryset(request, exclude_parameters)

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[str | Combinable]:
        return ["-pk"]

    def get_results(self, request: HttpRequest) -> None:
        wanted = self.list_per_page + 1  # one more than is shown tells whether there is a next page
        rows, self.searched_down_to = self.find(request, wanted)
        full = len(rows) == wanted
        self.result_list = rows[: self.list_per_page]
        self.next_before = self.result_list[-1].pk if full else self.searched_down_to
        self.result_count = self.full_result_count = len(self.result_list)
        self.show_full_result_count = False
        self.show_admin_actions = bool(rows)
        self.can_show_all = self.multi_page = False

    def find(self, request: HttpRequest, wanted: int) -> tuple[list[Model], int | None]:
        """Return at most `wanted` rows below `before`, and the id where the search was given up."""
        return list(self.hinted(self.queryset.filter(pk__lt=self.before))[:wanted]), None

    def index(self) -> str | None:
        """Return the index by which this page is found, or None where only one index fits."""
        return None

    def hinted(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        index = self.index()
        return queryset if index is None else by_index(queryset, index)

    @property
    def older_url(self) -> str | None:
        if self.next_before is None:
            return None
        return self.get_query_string({BEFORE: str(self.next_before)})

    @property
    def newest_url(self) -> str | None:
        return None if self.before == ID_MAX else self.get_query_string()


class KeysetAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Serve as the base of the admins; a subclass filters and searches by indexes alone."""

    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # facets count
    sortable_by = ()
    change_list_template = "admin/messaging/keyset_change_list.html"
    change_list: ClassVar[type[KeysetChangeList]] = KeysetChangeList
    lookups: ClassVar[frozenset[str]] = frozenset()  # lookups that the address may filter by
    empty_list_text: ClassVar[str] = "There is nothing here."

    class Media:
        css: ClassVar[dict[str, tuple[str, ...]]] = {"all": ("messaging/admin.css",)}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return self.change_list

    def search(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        """Return the rows that a search term, which is not empty, asks for."""
        raise NotImplementedError

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return self.search(queryset, term) if term else queryset, False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return lookup in self.lookups


class ReadOnlyAdmin(KeysetAdmin):
    """Forbid everybody to add, change or remove rows by hand, whatever their permissions."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def beginning_with(field: str, text: str) -> Q:
    """Return the condition that a field begins with this text.

    The condition is a range, which every database finds by an index.
    """
    return Q(**{f"{field}__gte": text, f"{field}__lt": text + LAST_CHARACTER})


def read_number(text: str) -> int | None:
    """Return the number that a text of at most 19 digits is, or None for any other text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 19 else None


def _read_before(request: HttpRequest) -> int:
    given = request.GET.get(BEFORE, "")
    if not given:
        return ID_MAX
    before = read_number(given)
    if before is None:
        raise IncorrectLookupParameters(f"{BEFORE} is not an id")
    return min(before, ID_MAX)
