"""Administer users with Django's own admin, with lists and a search that stay quick."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.forms import ModelForm

from messaging import user_names
from messaging.admin.keyset import KeysetAdmin, beginning_with
from messaging.domain.errors import UserNameTaken

User = get_user_model()
admin.site.unregister(User)


class FirstMatches(Paginator):  # type: ignore[type-arg]
    """Page the choice of a user while typing: the first matches, and no count of the others."""

    @property
    def count(self) -> int:
        return len(self.object_list[: self.per_page])


class OneName(ModelForm):  # type: ignore[type-arg]
    """Refuse a name that another user has in another case or width.

    A name that does not change is not judged.
    """

    def clean_username(self) -> str:
        name: str = self.cleaned_data["username"]
        if "username" in self.changed_data and user_names.is_taken(
            name, besides=self.instance.pk or 0
        ):
            raise ValidationError(UserNameTaken.default_text())
        return name

    def _get_validation_exclusions(self) -> set[str]:
        kept = set() if "username" in self.changed_data else {"username"}
        return {*super()._get_validation_exclusions(), *kept}  # type: ignore[misc]


HELP = "3 to 32 characters: letters of any script, digits and . @ + - _"


class NewUserForm(OneName, AdminUserCreationForm):  # type: ignore[type-arg]
    class Meta(AdminUserCreationForm.Meta):
        help_texts: ClassVar = {"username": HELP}


class UserForm(OneName, UserChangeForm):  # type: ignore[type-arg]
    class Meta(UserChangeForm.Meta):
        help_texts: ClassVar = {"username": HELP}


@admin.register(User)
class PlainUserAdmin(KeysetAdmin, UserAdmin):  # type: ignore[type-arg]
    form = UserForm
    add_form = NewUserForm
    list_display = ("id", "username", "is_active", "is_staff", "date_joined")
    list_display_links = ("id", "username")
    lookups = frozenset(
        {"is_staff__exact", "is_superuser__exact", "is_active__exact", "groups__id__exact"}
    )
    search_fields = ("username",)
    search_help_text = "The beginning of a user name."
    empty_list_text = "No user fits."
    paginator = FirstMatches

    def search(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        return queryset.filter(beginning_with("username", term))
