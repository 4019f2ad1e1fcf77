"""Name the routes of the API, below `/api/`."""

from __future__ import annotations

from django.urls import path, re_path
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

from messaging.api import conversation_list, conversations, groups, sync
from messaging.api.blocks import BlocksView, BlockView, UnblockView
from messaging.api.fallback import path_not_found
from messaging.api.health import HealthView
from messaging.api.identity import LoginView, RegisterView
from messaging.api.messages import DeleteView, HistoryView, MessageView, RecallView, SendView
from messaging.api.sessions import LogoutAllView, LogoutView, PasswordView
from messaging.api.users import FindView, MeView, UsersView, UserView

urlpatterns = [
    path("health", HealthView.as_view()),
    path("user/register", RegisterView.as_view()),
    path("user/login", LoginView.as_view()),
    path("user/logout", LogoutView.as_view()),
    path("user/logout-all", LogoutAllView.as_view()),
    path("user/password", PasswordView.as_view()),
    path("user/block", BlockView.as_view()),
    path("user/unblock", UnblockView.as_view()),
    path("user/blocks", BlocksView.as_view()),
    path("user/me", MeView.as_view()),
    path("user/get", UsersView.as_view()),
    path("user/find", FindView.as_view()),
    path("user/<str:user_id>", UserView.as_view()),
    re_path(r"^token/?$", TokenObtainPairView.as_view()),
    re_path(r"^token/refresh/?$", TokenRefreshView.as_view()),
    path("message/send", SendView.as_view()),
    path("message/recall", RecallView.as_view()),
    path("message/delete", DeleteView.as_view()),
    path("message/history", HistoryView.as_view()),
    path("message/readers", conversation_list.ReadersView.as_view()),
    path("message/<str:message_id>", MessageView.as_view()),
    path("conversation/set", conversations.SetView.as_view()),
    path("conversation/clear", conversations.ClearView.as_view()),
    path("conversation", conversation_list.ConversationView.as_view()),
    path("conversation/list", conversation_list.ListView.as_view()),
    path("conversation/unread", conversation_list.UnreadView.as_view()),
    path("conversation/receipts", conversation_list.ReceiptsView.as_view()),
    path("conversation/messages", sync.SpanView.as_view()),
    path("sync", sync.SyncView.as_view()),
    path("group/create", groups.CreateView.as_view()),
    path("group/update", groups.UpdateView.as_view()),
    path("group/join", groups.JoinView.as_view()),
    path("group/requests", groups.RequestsView.as_view()),
    path("group/answer", groups.AnswerView.as_view()),
    path("group/invite", groups.InviteView.as_view()),
    path("group/leave", groups.LeaveView.as_view()),
    path("group/remove", groups.RemoveView.as_view()),
    path("group/unban", groups.UnbanView.as_view()),
    path("group/role", groups.RoleView.as_view()),
    path("group/transfer", groups.TransferView.as_view()),
    path("group/mute", groups.MuteView.as_view()),
    path("group/nickname", groups.NicknameView.as_view()),
    path("group/dissolve", groups.DissolveView.as_view()),
    path("group/members", groups.MembersView.as_view()),
    path("group/<str:group_id>", groups.GroupInfoView.as_view()),
    re_path(r"", path_not_found),
]
