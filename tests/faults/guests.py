"""Judge the guests of the groups: users whom an owner invites, and removes again.

Pure. While a guest is surely out, no call of the guest gets anything of the group. Messages that
were acknowledged before a guest was invited back are never shown to the guest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.faults.transcript import Operation, Transcript

NEVER = float("inf")
LATE_S = 5.0  # after its end, or after the heal, a call without an answer is done at the latest


@dataclass(frozen=True, slots=True)
class Absence:
    """Hold a time in which a guest is surely out: no invitation was made, nor can one be under way.

    The absence begins with the answer to a removal, and ends with the next invitation.
    """

    begun_s: float
    ended_s: float


@dataclass(slots=True)
class Guest:
    invitations: list[Operation] = field(default_factory=list)
    removals: list[Operation] = field(default_factory=list)

    def absences(self, healed_s: float) -> Iterator[Absence]:
        """Yield the absences in their order; a guest begins outside of the group."""
        begins = [-1.0, *(each.completed_s for each in self.removals if each.outcome == "ok")]
        for begun_s in begins:
            later = [each.invoked_s for each in self.invitations if each.invoked_s > begun_s]
            ended_s = min(later, default=NEVER)
            earlier = [each for each in self.invitations if each.invoked_s <= begun_s]
            unknown = [each.completed_s for each in earlier if each.outcome == "unknown"]
            settled_s = max(max(unknown), healed_s) + LATE_S if unknown else -NEVER
            if settled_s <= begun_s:
                yield Absence(begun_s, ended_s)


class Guests:
    """Find the guests of a transcript, and the times in which each of them is out."""

    def __init__(self, transcript: Transcript) -> None:
        guests: dict[tuple[str, int], Guest] = defaultdict(Guest)
        for operation in transcript.operations:
            place = operation.conversation, operation.guest
            if operation.kind == "invite":
                guests[place].invitations.append(operation)
            elif operation.kind == "remove":
                guests[place].removals.append(operation)
        healed_s = transcript.at("healed")
        self._absences = {
            place: list(guest.absences(0.0 if healed_s == NEVER else healed_s))
            for place, guest in guests.items()
        }

    def has(self, conversation: str, user: int) -> bool:
        return (conversation, user) in self._absences

    def is_trespass(self, operation: Operation) -> bool:
        """Tell whether a guest got an answer from the group while out."""
        return operation.outcome == "ok" and any(
            absence.begun_s <= operation.invoked_s and operation.completed_s <= absence.ended_s
            for absence in self._absences.get((operation.conversation, operation.user), ())
        )

    def hidden_before_s(self, read: Operation) -> float:
        """Return the time before which no acknowledged message is shown to the guest who reads."""
        ends = [
            absence.ended_s
            for absence in self._absences.get((read.conversation, read.user), ())
            if absence.ended_s <= read.invoked_s
        ]
        return max(ends, default=0.0)
