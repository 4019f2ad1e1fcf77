"""Test the checker on transcripts written by hand: the violations are found, and no others."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.checker import ViolationKind, check
from tests.faults.sends import SendsById
from tests.faults.transcript import (
    TOLD,
    Mark,
    Operation,
    ShownMessage,
    StoredConversation,
    StoredMessage,
    Transcript,
)
from tests.faults.transcript import Kind as Call

ALICE, BOB = 1, 2
HOME = "1_2"


class Story:
    """Write a transcript one call after the other; every call takes a second."""

    def __init__(self) -> None:
        self.transcript = Transcript()
        self._now_s = 0.0

    def call(self, kind: Call, user: int, **told: Any) -> None:
        invoked_s, self._now_s = self._now_s, self._now_s + 1
        told = {"outcome": "ok", "status": 200} | told
        self.transcript.add(
            Operation(
                kind=kind,
                user=user,
                conversation=HOME,
                invoked_s=invoked_s,
                completed_s=self._now_s,
                **told,
            )
        )
        self._now_s += 1

    def sent(self, message_id: int, name: str = "a", **told: Any) -> None:
        self.call(
            "send", ALICE, message_id=message_id, client_msg_id=name, content=f"hi {name}", **told
        )

    def not_sent(self, name: str = "a", *, outcome: str, **told: Any) -> None:
        self.call("send", ALICE, client_msg_id=name, content=f"hi {name}", outcome=outcome, **told)

    def stored(self, message_id: int, name: str = "a", *, seq: int = 1, **columns: Any) -> None:
        columns = {"content": f"hi {name}", "url": None, "is_recalled": False} | columns
        columns = {"conversation": HOME, "sender": ALICE} | columns
        self.transcript.add(StoredMessage(id=message_id, seq=seq, client_msg_id=name, **columns))

    def page(self, user: int, *seen: ShownMessage, **told: Any) -> None:
        self.call("history", user, seen=list(seen), **told)

    def leads_to(self, told_id: int, row: ShownMessage | None) -> None:
        """Add at the end the answer that the sender gets for an id that the sender was told."""
        if self.transcript.at(TOLD) == float("inf"):
            self.transcript.add(Mark(TOLD, self._now_s))
        found = {} if row else {"outcome": "refused", "status": 404, "code": 3002}
        self.call("get", ALICE, message_id=told_id, seen=[row] if row else [], **found)

    @property
    def verdict(self) -> set[ViolationKind]:
        """Return the kinds of violation.

        Each told id that the story does not ask for leads to the first row of its name.
        """
        sends, asked = SendsById(self.transcript), self.transcript.at(TOLD)
        done = {
            operation.message_id
            for operation in self.transcript.operations
            if operation.kind == "get" and operation.invoked_s >= asked
        }
        for send in sends.all.values():
            for told_id in sorted(send.told.keys() - done):
                if send.rows:
                    row = send.rows[0]
                    self.leads_to(
                        told_id,
                        ShownMessage(row.id, row.content, row.url, row.is_recalled, row.seq),
                    )
        return {violation.kind for violation in check(self.transcript)}


def shown(message_id: int, name: str = "a", **fields: Any) -> ShownMessage:
    fields = {"content": f"hi {name}", "url": None, "is_recalled": False, "seq": None} | fields
    return ShownMessage(id=message_id, **fields)


BLANK = {"content": "", "is_recalled": True}


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_transcript_without_fault_passes(story: Story) -> None:
    story.not_sent(outcome="unknown", status=503)
    story.sent(7)
    story.sent(8, "b")
    story.page(BOB, shown(8, "b"), shown(7))
    story.call("recall", ALICE, message_id=7)
    story.call("delete", BOB, message_id=8)
    story.page(BOB, shown(7, **BLANK))
    story.page(ALICE, shown(8, "b", seq=2), shown(7, seq=1, **BLANK))
    story.call("get", BOB, message_id=8, outcome="refused", status=404, code=3002)
    story.stored(7, seq=1, **BLANK)
    story.stored(8, "b", seq=2)
    story.transcript.add(StoredConversation(id=HOME, last_seq=2))
    story.transcript.add(Mark("healed", 1.0))
    assert story.verdict == set()


class TestWhatIsStored:
    def test_an_acknowledged_message_without_a_row_is_lost(self, story: Story) -> None:
        story.sent(7)
        story.leads_to(7, None)
        assert story.verdict == {ViolationKind.LOST, ViolationKind.DEAD_ID}

    def test_a_repeat_may_have_been_deduplicated_into_another_attempt(self, story: Story) -> None:
        story.not_sent(outcome="unknown")
        story.sent(7)
        story.stored(5)
        assert story.verdict == set()

    def test_what_was_never_acknowledged_may_be_stored_or_not(self, story: Story) -> None:
        story.not_sent("a", outcome="unknown")
        story.not_sent("b", outcome="unknown")
        story.stored(7)
        assert story.verdict == set()

    def test_two_rows_of_one_client_message_id(self, story: Story) -> None:
        story.sent(7)
        story.sent(7)
        story.stored(7)
        story.stored(9, seq=2)
        assert story.verdict == {ViolationKind.DOUBLED}

    @pytest.mark.parametrize(
        "columns", [{"content": "hi"}, {"url": "/x"}, {"conversation": "1_3"}, BLANK]
    )
    def test_a_row_that_is_not_what_was_sent(self, story: Story, columns: Any) -> None:
        story.sent(7)
        story.stored(7, **columns)
        assert story.verdict == {ViolationKind.ALTERED}

    def test_a_row_that_nobody_sent(self, story: Story) -> None:
        story.stored(7)
        assert story.verdict == {ViolationKind.UNSENT}

    def test_a_row_of_a_send_that_was_refused(self, story: Story) -> None:
        story.not_sent(outcome="refused", status=429)
        story.stored(7)
        assert story.verdict == {ViolationKind.UNSENT}

    def test_a_row_with_the_content_of_a_recalled_message(self, story: Story) -> None:
        story.sent(7)
        story.call("recall", ALICE, message_id=7)
        story.stored(7)
        assert story.verdict == {ViolationKind.RESURRECTED}

    def test_a_recall_without_a_clear_answer_may_be_stored_or_not(self, story: Story) -> None:
        for message_id, name in ((7, "a"), (8, "b")):
            story.sent(message_id, name)
            story.call("recall", ALICE, message_id=message_id, outcome="unknown", status=0)
        story.stored(7)
        story.stored(8, "b", seq=2, **BLANK)
        assert story.verdict == set()

    @pytest.mark.parametrize("numbers", [(1, 3), (2, 3), (1, 1)])
    def test_numbers_with_a_gap_or_a_repeat(self, story: Story, numbers: tuple[int, int]) -> None:
        story.sent(7)
        story.sent(8, "b")
        story.stored(7, seq=numbers[0])
        story.stored(8, "b", seq=numbers[1])
        assert story.verdict == {ViolationKind.MISNUMBERED}

    def test_a_conversation_that_counts_more_than_it_has(self, story: Story) -> None:
        story.sent(7)
        story.stored(7)
        story.transcript.add(StoredConversation(id=HOME, last_seq=2))
        assert story.verdict == {ViolationKind.MISNUMBERED}


class TestWhatClientsAreTold:
    def test_two_ids_for_one_client_message_id(self, story: Story) -> None:
        story.sent(7)
        story.sent(9)
        story.stored(7)
        assert story.verdict == {ViolationKind.TWO_IDS}

    def test_a_repeat_that_is_refused_as_another_message(self, story: Story) -> None:
        story.sent(7)
        story.not_sent(outcome="refused", status=422, code=3006)
        story.stored(7)
        assert story.verdict == {ViolationKind.TWO_IDS}

    def test_a_second_id_leads_to_the_message_that_is_stored(self, story: Story) -> None:
        story.sent(7)
        story.sent(9)
        story.stored(7)
        story.leads_to(9, shown(7, seq=1))
        assert story.verdict == {ViolationKind.TWO_IDS}

    def test_a_second_id_that_leads_to_nothing(self, story: Story) -> None:
        story.sent(7)
        story.sent(9)
        story.stored(7)
        story.leads_to(9, None)
        assert story.verdict == {ViolationKind.TWO_IDS, ViolationKind.DEAD_ID}

    def test_an_id_that_leads_to_another_message(self, story: Story) -> None:
        story.sent(7)
        story.sent(8, "b")
        story.stored(7)
        story.stored(8, "b", seq=2)
        story.leads_to(7, shown(8, "b", seq=2))
        assert story.verdict == {ViolationKind.DEAD_ID}

    def test_an_id_that_nobody_has_asked_for_at_the_end(self, story: Story) -> None:
        story.sent(7)
        story.stored(7)
        assert {violation.kind for violation in check(story.transcript)} == {ViolationKind.DEAD_ID}

    @pytest.mark.parametrize("kind", ["get", "recall", "delete"])
    def test_an_acknowledged_id_that_is_not_found_meanwhile(self, story: Story, kind: Call) -> None:
        story.sent(7)
        story.sent(9)
        story.call(kind, ALICE, message_id=9, outcome="refused", status=404, code=3002)
        story.stored(7)
        assert story.verdict == {ViolationKind.TWO_IDS, ViolationKind.DEAD_ID}

    def test_an_id_that_was_not_acknowledged_yet(self, story: Story) -> None:
        story.sent(7)
        story.call("get", ALICE, message_id=9, outcome="refused", status=404, code=3002)
        story.sent(9)
        story.stored(7)
        assert story.verdict == {ViolationKind.TWO_IDS}

    def test_an_answer_that_nobody_anticipated(self, story: Story) -> None:
        story.not_sent(outcome="unknown", status=500)
        assert story.verdict == {ViolationKind.FAILED}


class TestWhatReadersSee:
    def test_content_after_the_recall(self, story: Story) -> None:
        story.sent(7)
        story.call("recall", ALICE, message_id=7)
        story.page(BOB, shown(7))
        story.stored(7, **BLANK)
        assert story.verdict == {ViolationKind.RESURRECTED}

    def test_content_after_being_told_that_it_was_recalled_already(self, story: Story) -> None:
        story.sent(7)
        story.call("recall", ALICE, message_id=7, outcome="refused", status=409, code=3003)
        story.call("get", BOB, message_id=7, seen=[shown(7)])
        story.stored(7, **BLANK)
        assert story.verdict == {ViolationKind.RESURRECTED}

    def test_a_read_that_began_before_the_recall_was_done(self, story: Story) -> None:
        story.sent(7)
        story.call("recall", ALICE, message_id=7)
        story.page(BOB, shown(7))
        story.transcript.operations[-1].invoked_s = story.transcript.operations[-2].invoked_s
        story.stored(7, **BLANK)
        assert story.verdict == set()

    def test_what_its_reader_has_deleted(self, story: Story) -> None:
        story.sent(7)
        story.call("delete", BOB, message_id=7)
        story.page(BOB, shown(7))
        story.stored(7)
        assert story.verdict == {ViolationKind.UNDELETED}

    def test_what_another_has_deleted_must_be_there(self, story: Story) -> None:
        story.sent(7)
        story.call("delete", BOB, message_id=7)
        story.page(ALICE)
        story.stored(7)
        assert story.verdict == {ViolationKind.UNSEEN}

    def test_an_own_message_is_not_on_the_first_page(self, story: Story) -> None:
        story.sent(7)
        story.page(ALICE)
        story.stored(7)
        assert story.verdict == {ViolationKind.UNSEEN}

    def test_a_partial_page_may_lack_it(self, story: Story) -> None:
        story.sent(7)
        story.page(ALICE, partial=True)
        story.stored(7)
        assert story.verdict == set()

    def test_what_was_acknowledged_after_the_read_began_may_be_missing(self, story: Story) -> None:
        story.page(ALICE)
        story.sent(7)
        story.stored(7)
        assert story.verdict == set()

    def test_a_hole_between_two_messages(self, story: Story) -> None:
        for place, (message_id, name) in enumerate(((7, "a"), (8, "b"), (9, "c")), 1):
            story.sent(message_id, name)
            story.stored(message_id, name, seq=place)
        story.page(BOB, shown(9, "c"), shown(7), has_more=True)
        assert story.verdict == {ViolationKind.UNSEEN}

    def test_an_end_before_the_end(self, story: Story) -> None:
        story.sent(7)
        story.sent(8, "b")
        story.stored(7)
        story.stored(8, "b", seq=2)
        story.page(BOB, shown(8, "b"))
        assert story.verdict == {ViolationKind.UNSEEN}

    def test_what_lies_on_other_pages_is_not_missed(self, story: Story) -> None:
        for place, (message_id, name) in enumerate(((7, "a"), (8, "b"), (9, "c")), 1):
            story.sent(message_id, name)
            story.stored(message_id, name, seq=place)
        story.page(BOB, shown(8, "b"), before=9, has_more=True)
        assert story.verdict == set()

    @pytest.mark.parametrize("ids", [(7, 8), (8, 8, 7), (9, 8, 7)])
    def test_a_page_out_of_order_or_past_its_bound(
        self, story: Story, ids: tuple[int, ...]
    ) -> None:
        names = {7: "a", 8: "b", 9: "c"}
        for place, (message_id, name) in enumerate(names.items(), 1):
            story.sent(message_id, name)
            story.stored(message_id, name, seq=place)
        story.page(BOB, *(shown(id_, names[id_]) for id_ in ids), before=9)
        assert ViolationKind.DISORDERED in story.verdict

    def test_another_content_than_was_sent(self, story: Story) -> None:
        story.sent(7)
        story.call("get", BOB, message_id=7, seen=[shown(7, content="ho")])
        story.stored(7)
        assert story.verdict == {ViolationKind.ALTERED}

    def test_a_message_that_nobody_sent(self, story: Story) -> None:
        story.page(BOB, shown(7))
        assert story.verdict == {ViolationKind.ALTERED}

    def test_one_message_under_two_ids(self, story: Story) -> None:
        story.not_sent(outcome="unknown")
        story.sent(8)
        story.page(BOB, shown(8), shown(7))
        story.stored(7)
        assert story.verdict == {ViolationKind.TWO_IDS}

    def test_a_number_that_has_changed(self, story: Story) -> None:
        story.sent(7)
        story.page(BOB, shown(7, seq=2))
        story.stored(7)
        assert story.verdict == {ViolationKind.MISNUMBERED}

    def test_not_found_although_it_is_there(self, story: Story) -> None:
        story.sent(7)
        story.call("get", BOB, message_id=7, outcome="refused", status=404, code=3002)
        story.stored(7)
        assert story.verdict == {ViolationKind.DEAD_ID}


GUEST = 3
FAR_S = 1_000.0


class TestGuests:
    """Test a guest whom the owner has invited and removed again."""

    @pytest.fixture
    def away(self, story: Story) -> Story:
        story.call("invite", ALICE, guest=GUEST)
        story.call("remove", ALICE, guest=GUEST)
        return story

    def test_who_is_refused_while_out_is_right(self, away: Story) -> None:
        away.sent(7)
        away.page(GUEST, outcome="refused", status=403, code=4002)
        away.call("get", GUEST, message_id=7, outcome="refused", status=404, code=3002)
        away.stored(7)
        assert away.verdict == set()

    def test_a_page_before_the_first_invitation(self, story: Story) -> None:
        story.page(GUEST)
        story.call("invite", ALICE, guest=GUEST)
        assert story.verdict == {ViolationKind.TRESPASSED}

    @pytest.mark.parametrize("kind", ["history", "get", "recall"])
    def test_an_answer_while_out(self, away: Story, kind: Call) -> None:
        away.call(kind, GUEST)
        assert away.verdict == {ViolationKind.TRESPASSED}

    def test_a_send_while_out(self, away: Story) -> None:
        told = {"client_msg_id": "a", "content": "hi a", "message_id": 7}
        away.call("send", GUEST, **told)
        away.stored(7, sender=GUEST)
        away.leads_to(7, shown(7, seq=1))
        assert away.verdict == {ViolationKind.TRESPASSED}

    def test_a_repeat_is_told_what_happened_before(self, story: Story) -> None:
        story.call("invite", ALICE, guest=GUEST)
        told = {"client_msg_id": "a", "content": "hi a", "message_id": 7}
        story.call("send", GUEST, **told)
        story.call("remove", ALICE, guest=GUEST)
        story.call("send", GUEST, **told)
        story.stored(7, sender=GUEST)
        story.leads_to(7, shown(7, seq=1))
        assert story.verdict == set()

    def test_a_page_that_began_before_the_removal_was_answered(self, away: Story) -> None:
        away.page(GUEST)
        away.transcript.operations[-1].invoked_s = away.transcript.operations[-2].invoked_s
        assert away.verdict == set()

    def test_a_page_after_a_removal_that_was_refused(self, story: Story) -> None:
        story.call("invite", ALICE, guest=GUEST)
        story.call("remove", ALICE, guest=GUEST, outcome="unknown", status=503)
        story.page(GUEST)
        assert story.verdict == set()

    def test_a_page_beside_the_next_invitation(self, away: Story) -> None:
        away.page(GUEST)
        away.call("invite", ALICE, guest=GUEST)
        away.transcript.operations[-2].completed_s = away.transcript.operations[-1].completed_s
        assert away.verdict == set()

    def test_an_invitation_without_an_answer_may_be_done_late(self, story: Story) -> None:
        story.call("invite", ALICE, guest=GUEST, outcome="unknown", status=0)
        story.call("remove", ALICE, guest=GUEST)
        story.page(GUEST)
        assert story.verdict == set()

    def test_an_invitation_without_an_answer_is_not_done_for_ever(self, story: Story) -> None:
        story.call("invite", ALICE, guest=GUEST, outcome="unknown", status=0)
        story.transcript.add(Mark("healed", 3.0))
        story._now_s = FAR_S
        story.call("remove", ALICE, guest=GUEST)
        story.page(GUEST)
        assert story.verdict == {ViolationKind.TRESPASSED}

    def test_what_was_said_before_the_join_is_hidden(self, away: Story) -> None:
        away.sent(7)
        away.call("invite", ALICE, guest=GUEST)
        away.sent(8, "b")
        away.page(GUEST, shown(8, "b"))
        away.page(BOB, shown(8, "b"), shown(7))
        away.stored(7)
        away.stored(8, "b", seq=2)
        assert away.verdict == set()
        away.page(GUEST, shown(8, "b"), shown(7))
        assert away.verdict == {ViolationKind.SUNK}

    def test_a_repeat_after_the_join_may_be_a_new_message(self, away: Story) -> None:
        away.sent(7)
        away.call("invite", ALICE, guest=GUEST)
        away.sent(7)
        away.page(GUEST, shown(7))
        away.stored(7)
        assert away.verdict == set()


class TestNotices:
    def test_are_of_the_service_itself(self, story: Story) -> None:
        story.sent(7)
        story.page(BOB, shown(9, content="", is_notice=True), shown(7))
        story.stored(7)
        row = {"content": "", "url": None, "is_recalled": False, "is_notice": True}
        for message_id, seq in ((9, 2), (10, 3)):
            story.transcript.add(
                StoredMessage(
                    id=message_id,
                    seq=seq,
                    conversation=HOME,
                    sender=ALICE,
                    client_msg_id=None,
                    **row,  # type: ignore[arg-type]
                )
            )
        assert story.verdict == set()

    def test_that_nobody_stored(self, story: Story) -> None:
        story.page(BOB, shown(9, content="", is_notice=True))
        assert story.verdict == {ViolationKind.ALTERED}
