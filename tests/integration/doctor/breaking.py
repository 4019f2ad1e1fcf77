"""Prove that a fault is found by the check meant for it, and mended by the remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from messaging.doctor.verdicts import State
from tests.integration.doctor.instance import Found, Instance, Place
from tests.support.processes import wait_until

Breaking = Callable[[Instance], AbstractContextManager[object] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Hold one way to break an instance.

    `also`: the other checks that must notice the fault. `mends`: the remedy ends the fault when it
    is carried out as it stands; otherwise the end of the block of `breaking` ends the fault.
    """

    name: str
    at: Place
    state: State
    breaking: Breaking
    also: tuple[Place, ...] = ()
    mends: bool = True
    unseen: bool = False  # other checks may be left out meanwhile

    def __str__(self) -> str:
        return self.name


def prove(instance: Instance, fault: Fault) -> None:
    """Break the instance, look, carry out the remedy, and look again.

    Raises: AssertionError when another check than those of the fault changes.
    """
    before = instance.found()
    assert not worse(before), f"the instance is not well before: {worse(before)}"
    assert fault.at in before
    block = fault.breaking(instance)
    if block is None:
        judge(instance, fault, before)
        return
    with block:
        judge(instance, fault, before)
    if not fault.mends:
        assert not worse(instance.found())


def judge(instance: Instance, fault: Fault, before: Found) -> None:
    broken = instance.found()
    assert set(worse(broken)) == {fault.at, *fault.also}, worse(broken)
    if not fault.unseen:
        assert set(before) <= set(broken)
    finding = broken[fault.at]
    assert finding.state is fault.state, finding
    assert all(each.remedy and "\n" not in each.remedy for each in worse(broken).values())
    if fault.mends:
        instance.carry_out(finding.remedy)
        wait_until(lambda: not worse(instance.found()), limit_s=30, what=finding.remedy)


def worse(found: Found) -> Found:
    return {place: each for place, each in found.items() if each.state is not State.OK}


def names(faults: Iterable[Fault]) -> list[str]:
    return [fault.name for fault in faults]
