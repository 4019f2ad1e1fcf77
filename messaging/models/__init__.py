"""Define the tables, without any rules.

The store writes the tables of messages, and the admin writes others. Django finds every model here.
"""

from __future__ import annotations

from messaging.models.audits import AuditRun
from messaging.models.groups import (
    ChatGroup,
    ChatGroupBan,
    ChatGroupMember,
    ChatGroupRequest,
    Participant,
)
from messaging.models.messages import (
    AT_USER_IDS_LENGTH,
    BODY_HASH_LENGTH,
    CLIENT_MSG_ID_LENGTH,
    CONVERSATION_ID_LENGTH,
    Conversation,
    Message,
    MessageAlias,
    MessageChange,
    MessageDelete,
    MessageKey,
    Operations,
    PendingMessage,
)
from messaging.models.people import (
    Profile,
    UserBlock,
    UserName,
    UserSession,
    UserTokens,
)
from messaging.models.recovery import (
    DEAD_LETTER_ERROR_LENGTH,
    DEAD_LETTER_REASON_LENGTH,
    CacheArrear,
    DeadLetter,
    Lease,
)

__all__ = [
    "AT_USER_IDS_LENGTH",
    "BODY_HASH_LENGTH",
    "CLIENT_MSG_ID_LENGTH",
    "CONVERSATION_ID_LENGTH",
    "DEAD_LETTER_ERROR_LENGTH",
    "DEAD_LETTER_REASON_LENGTH",
    "AuditRun",
    "CacheArrear",
    "ChatGroup",
    "ChatGroupBan",
    "ChatGroupMember",
    "ChatGroupRequest",
    "Conversation",
    "DeadLetter",
    "Lease",
    "Message",
    "MessageAlias",
    "MessageChange",
    "MessageDelete",
    "MessageKey",
    "Operations",
    "Participant",
    "PendingMessage",
    "Profile",
    "UserBlock",
    "UserName",
    "UserSession",
    "UserTokens",
]
