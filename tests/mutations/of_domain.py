"""List the mutations of pure rules, the audit and the terminal client."""

from __future__ import annotations

from tests.mutations.mutation import Mutation, pytest_of, simulator

MUTATIONS = (
    Mutation(
        "PERSIST overwrites RECALL (join)",
        "messaging/domain/message.py",
        "if one.status >= other.status else",
        "if one.status <= other.status else",
        simulator(500),
    ),
    Mutation(
        "find nothing wrong with a change that has no row",
        "messaging/audit/rows.py",
        "message.rev != row.change or ",
        "",
        pytest_of("tests/unit/audit/test_repair.py"),
    ),
    Mutation(
        "find nothing wrong with a change above those of its conversation",
        "messaging/audit/rows.py",
        " or message.rev > row.last_rev:",
        ":",
        pytest_of("tests/unit/audit/test_repair.py"),
    ),
    Mutation(
        "find nothing wrong with a group that nobody owns",
        "messaging/audit/groups.py",
        "headcount.owners != 1 and",
        "headcount.owners > 1 and",
        pytest_of("tests/unit/audit/test_groups.py"),
    ),
    Mutation(
        "let a mark go beyond the last message",
        "messaging/domain/conversations.py",
        "max(participant.read_seq, min(mark.read_seq, last_seq))",
        "max(participant.read_seq, mark.read_seq)",
        pytest_of("tests/contract/conversations/test_marking.py", "-k", "beyond"),
    ),
    Mutation(
        "let a late mark lower a position",
        "messaging/domain/conversations.py",
        "max(participant.read_seq, min(mark.read_seq, last_seq))",
        "min(mark.read_seq, last_seq)",
        pytest_of("tests/contract/conversations/test_marking.py", "-k", "lower"),
    ),
    Mutation(
        "name the oldest rows of a span the newest",
        "messaging/ports/conversations.py",
        "max(self.above, self.up_to - self.limit)",
        "max(self.above, self.up_to - self.limit - 1)",
        pytest_of("tests/contract/conversations/test_catching_up.py", "-k", "Spans"),
    ),
    Mutation(
        "write the last of the marks that fold, in place of the largest",
        "messaging/domain/conversations.py",
        "read_seq=max(one.read_seq, other.read_seq)",
        "read_seq=other.read_seq",
        pytest_of("tests/unit/test_conversation_requests.py"),
    ),
    Mutation(
        "take a cursor whose ids do not ascend",
        "messaging/domain/sync_cursor.py",
        "if not growth or reached > ID_MAX:",
        "if reached > ID_MAX:",
        pytest_of("tests/unit/test_sync_cursor.py"),
    ),
    Mutation(
        "keep a message of a client that the server has hidden",
        "messaging/terminal/model.py",
        '        self._drop_hidden(int(told["floorId"] or 0))\n',
        "",
        pytest_of("tests/unit/service/test_sync.py"),
    ),
    Mutation(
        "drop pending messages after a round that lacked something before its end",
        "messaging/terminal/model.py",
        '        self._lacks |= answer["partial"]\n',
        '        self._lacks = answer["partial"]\n',
        pytest_of("tests/unit/terminal/test_model.py"),
    ),
    Mutation(
        "drop pending messages that a partial answer lacks",
        "messaging/terminal/model.py",
        "known = self.pending if partial else {}",
        "known: dict[str, Json] = {}",
        pytest_of("tests/unit/terminal/test_model.py"),
    ),
    Mutation(
        "take a deleted id again as a pending message",
        "messaging/terminal/model.py",
        "(self.messages.keys() | self.deleted)",
        "self.messages.keys()",
        pytest_of("tests/unit/terminal/test_model.py"),
    ),
)
