"""Administer chat groups and their members.

Each change goes through `group_verbs`, so that a group keeps one owner, its members are told, and
every process acts by the change at once.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect, RelatedFieldWidgetWrapper
from django.contrib.auth import get_user_model
from django.db.models import Model, Q, QuerySet
from django.forms import BooleanField, ModelChoiceField
from django.forms.models import BaseInlineFormSet, ModelForm
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from messaging.admin import group_verbs
from messaging.admin.display import search_link, visible
from messaging.admin.group_verbs import OutsideTransactions
from messaging.admin.keyset import KeysetAdmin, beginning_with, read_number
from messaging.domain.ids import group_conversation
from messaging.models import ChatGroup, ChatGroupMember

User = get_user_model()
MEMBERS_SHOWN = 50
USERS_MATCHED = 100


class FirstMembers(BaseInlineFormSet):  # type: ignore[type-arg]
    """Show the first members alone, because ten thousand forms would make no usable page."""

    def get_queryset(self) -> QuerySet[Any]:
        if not hasattr(self, "_first"):
            self._first = super().get_queryset().order_by("pk")[:MEMBERS_SHOWN]
        return self._first


class MemberInline(admin.TabularInline):  # type: ignore[type-arg]
    model = ChatGroupMember
    formset = FirstMembers
    fields = ("user", "role", "joined_at")
    readonly_fields = ("user", "joined_at")
    extra = 0
    verbose_name_plural = f"members (the first {MEMBERS_SHOWN})"

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse to add members here.

        A choice of users in each row would query the database for each user. `NewMemberInline` adds
        members.
        """
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("user")


class NewGroupForm(ModelForm):  # type: ignore[type-arg]
    owner = ModelChoiceField(
        User.objects.filter(is_active=True),
        widget=AutocompleteSelect(ChatGroupMember._meta.get_field("user"), admin.site),
    )


class GroupForm(ModelForm):  # type: ignore[type-arg]
    dissolve = BooleanField(
        required=False, help_text="For good: the members read on, and nobody writes."
    )


class NewMemberForm(ModelForm):  # type: ignore[type-arg]
    def clean(self) -> dict[str, Any] | None:
        """Refuse a user who is a member already.

        Django does not check constraints that name the outer object in a form inside another one.
        """
        cleaned = super().clean()
        known = ChatGroupMember.objects.filter(group_id=self.instance.group_id)
        if known.filter(user=self.cleaned_data.get("user")).exists():
            self.add_error("user", "This user is a member already.")
        return cleaned


class NewMemberInline(admin.TabularInline):  # type: ignore[type-arg]
    model = ChatGroupMember
    form = NewMemberForm
    fields = ("user", "role")
    autocomplete_fields = ("user",)
    extra = 1
    verbose_name_plural = "new members"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).none()

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Show this inline only to those who may add, because it holds nothing else."""
        return self.has_add_permission(request, obj)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Return the field without links to add, change or view a user.

        Users are only chosen here, neither made nor changed.
        """
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if isinstance(widget := getattr(field, "widget", None), RelatedFieldWidgetWrapper):
            widget.can_add_related = widget.can_change_related = widget.can_view_related = False
        return field


@admin.register(ChatGroup)
class ChatGroupAdmin(OutsideTransactions, KeysetAdmin):
    list_display = ("id", "shown_name", "conversation", "created_at")
    list_display_links = ("id", "shown_name")
    readonly_fields = ("conversation", "created_at", "state", "member_count", "all_members")
    search_fields = ("id",)
    search_help_text = "A group's id (5 or g5) or the beginning of its name."
    empty_list_text = "No group fits."
    actions = None

    def get_inlines(self, request: HttpRequest, obj: Model | None) -> list[Any]:
        return [NewMemberInline] if obj is None else [NewMemberInline, MemberInline]

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        if obj is None:
            return ("name", "owner")
        return ("name", "mode", *self.readonly_fields, "dissolve")

    def get_form(
        self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = NewGroupForm if obj is None else GroupForm
        return super().get_form(request, obj, change, form=form, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change:
            owner_id = form.cleaned_data["owner"].pk
            obj.pk = group_verbs.create(request, obj.name, owner_id=owner_id)
            obj.refresh_from_db()
            return
        if "name" in form.changed_data:
            group_verbs.rename(request, obj.pk, obj.name)
        if "mode" in form.changed_data:
            group_verbs.pin_mode(obj.pk, obj.mode)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        formset.save(commit=False)
        group_verbs.set_roles(request, [member for member, _ in formset.changed_objects])
        group_verbs.add(request, form.instance.pk, formset.new_objects)
        group_verbs.remove(request, formset.deleted_objects)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if form.cleaned_data.get("dissolve"):
            group_verbs.dissolve(request, form.instance.pk)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse everybody, because the group's messages stay and would belong to nobody."""
        return False

    def search(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        group_id = read_number(term.removeprefix("g"))
        wanted = beginning_with("name", term) if group_id is None else Q(pk=group_id)
        return queryset.filter(wanted)

    @admin.display(description="name")
    def shown_name(self, group: ChatGroup) -> SafeString:
        return visible(group.name)

    @admin.display(description="conversation")
    def conversation(self, group: ChatGroup) -> SafeString:
        name = group_conversation(group.pk)
        return search_link(name, name)

    @admin.display(description="members")
    def all_members(self, group: ChatGroup) -> SafeString:
        url = reverse("admin:messaging_chatgroupmember_changelist", query={"group": group.pk})
        return format_html('<a href="{}">all members</a>', url)


@admin.register(ChatGroupMember)
class ChatGroupMemberAdmin(OutsideTransactions, KeysetAdmin):
    """List all members of a group, to search and remove them.

    The group's page links to this list, and adds members.
    """

    list_display = ("user", "group_shown", "role", "joined_at")
    list_select_related = ("user", "group")
    fields = ("user", "group", "role", "joined_at")
    readonly_fields = ("user", "group", "joined_at")
    lookups = frozenset({"group"})
    search_fields = ("user__username",)
    search_help_text = "The beginning of a user name."
    empty_list_text = "No member fits."

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def search(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        named = User.objects.filter(beginning_with("username", term)).order_by("username")
        return queryset.filter(user__in=list(named[:USERS_MATCHED]))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if "role" in form.changed_data:
            group_verbs.set_roles(request, [obj])

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        group_verbs.remove(request, [obj])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        group_verbs.remove(request, queryset)

    @admin.display(description="group")
    def group_shown(self, member: ChatGroupMember) -> SafeString:
        return visible(member.group.name)
