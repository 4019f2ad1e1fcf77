"""Check what a client keeps of the pending messages, over rounds of several answers."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.terminal.model import Model


def message(message_id: int, seq: int | None = None) -> dict[str, Any]:
    return {"messageId": str(message_id), "seq": seq, "status": "NORMAL", "rev": 0}


def told(name: str, **fields: Any) -> dict[str, Any]:
    nothing: dict[str, Any] = {
        "conversationId": name,
        "position": "p",
        "messages": [],
        "changes": [],
        "pending": [],
        "deletedIds": [],
        "gap": None,
        "floorId": None,
        "left": None,
        "reset": False,
    }
    return nothing | fields


def answer(
    *conversations: dict[str, Any], has_more: bool = False, partial: bool = False
) -> dict[str, Any]:
    return {
        "conversations": list(conversations),
        "cursor": "c",
        "hasMore": has_more,
        "partial": partial,
    }


def pending_in(model: Model, name: str) -> list[str]:
    return sorted(model.conversations[name].pending)


@pytest.fixture
def model() -> Model:
    """Return a client that knows a pending message in each of two conversations."""
    model = Model()
    known = (told("g1", pending=[message(11)]), told("g2", pending=[message(21)]))
    model.apply(answer(*known))
    return model


def test_a_conversation_of_an_earlier_answer_keeps_its_pending_messages(model: Model) -> None:
    model.apply(answer(told("g1", pending=[message(11)]), has_more=True))
    model.apply(answer(told("g2", pending=[message(21)])))
    assert (pending_in(model, "g1"), pending_in(model, "g2")) == (["11"], ["21"])


def test_a_conversation_that_a_round_has_not_named_keeps_none(model: Model) -> None:
    model.apply(answer(told("g2", pending=[message(21)]), has_more=True))
    assert pending_in(model, "g1") == ["11"]
    model.apply(answer(told("g3")))
    assert (pending_in(model, "g1"), pending_in(model, "g2")) == ([], ["21"])


@pytest.mark.parametrize("lacks", [0, 1, 2])
def test_a_round_with_a_partial_answer_drops_nothing(model: Model, lacks: int) -> None:
    for number in range(3):
        told_here = told(f"g{number + 5}")
        model.apply(answer(told_here, has_more=number < 2, partial=number == lacks))
    assert (pending_in(model, "g1"), pending_in(model, "g2")) == (["11"], ["21"])
    model.apply(answer())
    assert (pending_in(model, "g1"), pending_in(model, "g2")) == ([], [])


def test_a_partial_answer_adds_to_the_pending_messages(model: Model) -> None:
    model.apply(answer(told("g1", pending=[message(12)]), partial=True))
    assert pending_in(model, "g1") == ["11", "12"]
    model.apply(answer(told("g1", messages=[message(11, seq=1)]), partial=True))
    assert [m["messageId"] for m in model.conversations["g1"].in_order] == ["11", "12"]
    model.apply(answer(told("g1", floorId="12"), partial=True))
    assert model.conversations["g1"].in_order == []


def test_a_pending_message_that_was_deleted_comes_never_again(model: Model) -> None:
    model.apply(answer(told("g1", deletedIds=["11"])))
    model.apply(answer(told("g1", pending=[message(11), message(12)])))
    assert pending_in(model, "g1") == ["12"]
