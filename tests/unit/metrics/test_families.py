from __future__ import annotations

from collections.abc import Iterator

import pytest

from messaging.metrics.catalogue import FAMILIES, ROLES
from messaging.metrics.families import Counter, Histogram, Reading, Switch


@pytest.fixture
def switched_off() -> Iterator[None]:
    Switch.is_on = False
    yield
    Switch.is_on = True


def test_every_series_exists_before_its_first_event() -> None:
    counter = Counter("x_total", "", {"door": ("a", "b"), "kind": ("c", "d")})
    assert counter.values == {("a", "c"): 0, ("a", "d"): 0, ("b", "c"): 0, ("b", "d"): 0}


def test_counts_by_label() -> None:
    counter = Counter("x_total", "", {"door": ("a", "b")})
    counter.add("b")
    counter.add("b", n=3)
    assert counter.values == {("a",): 0, ("b",): 4}


def test_refuses_a_label_value_that_would_add_a_series() -> None:
    counter = Counter("x_total", "", {"door": ("a", "b")})
    with pytest.raises(KeyError):
        counter.add("c")


def test_counts_a_value_in_the_bucket_that_it_ends() -> None:
    histogram = Histogram("x", "", {}, edges=(1, 10))
    for value in (0.5, 1, 2, 10, 11):
        histogram.observe(value)
    assert histogram.cells == {(): [2, 2, 1, 24.5]}


def test_counts_nothing_when_switched_off(switched_off: None) -> None:
    counter, histogram = Counter("x_total", ""), Histogram("x", "", edges=(1,))
    counter.add()
    histogram.observe(2)
    assert counter.values == {(): 0}
    assert histogram.cells == {(): [0, 0, 0]}


def test_names_follow_prometheus() -> None:
    for family in FAMILIES:
        is_total = isinstance(family, Counter) or (isinstance(family, Reading) and family.is_total)
        assert family.name.startswith("im_")
        assert family.name.endswith("_total") == is_total
        assert family.text.endswith(".")
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)


def test_the_number_of_series_is_bounded() -> None:
    """The design allows a site 1,000 series, those that the exporter asks for among them."""
    series = 0
    for family in FAMILIES:
        buckets = len(family.edges) + 3 if isinstance(family, Histogram) else 1
        series += len(list(family.series())) * buckets * (len(ROLES) if family.by_role else 1)
    assert series < 800


def test_no_label_may_hold_what_a_client_chooses() -> None:
    allowed = {
        "door", "call", "outcome", "chat", "durability", "kind", "reason", "step", "result",
        "path", "backend", "state", "source", "partial",
    }  # fmt: skip
    assert {label for family in FAMILIES for label in family.labels} == allowed
