"""Record the changes that users make to a group, and tell which rights are surely gone at a moment.

Pure. Moments are ticks, which count every beginning and every end of a request. An act without a
clear answer may be done at any later moment. So a right counts as gone only when an answered act
took the right away, and no act that may have given it back is younger.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

NEVER = 1 << 60


class Verb(StrEnum):
    JOIN = "join"
    INVITE = "invite"
    LEAVE = "leave"
    REMOVE = "remove"
    MUTE = "mute"
    UNMUTE = "unmute"
    MUTE_ALL = "mute all"
    UNMUTE_ALL = "unmute all"
    PROMOTE = "promote"
    TRANSFER = "transfer"
    DISSOLVE = "dissolve"


class Outcome(StrEnum):
    DONE = "done"
    REFUSED = "refused"  # nothing was changed
    UNKNOWN = "unknown"  # no answer, or one that says "try again"


GO = frozenset({Verb.LEAVE, Verb.REMOVE})
COME = frozenset({Verb.JOIN, Verb.INVITE})
RISE = frozenset({Verb.PROMOTE, Verb.TRANSFER})


@dataclass(slots=True, eq=False)
class GroupAct:
    """Record one change of the group: by `actor`, of `user` where the change is about one."""

    verb: Verb
    actor: int
    user: int | None
    begun: int
    ended: int = NEVER
    outcome: Outcome = Outcome.UNKNOWN

    def end(self, outcome: Outcome, moment: int) -> None:
        self.outcome, self.ended = outcome, moment


@dataclass(frozen=True, slots=True)
class GroupRights:
    """Tell what a user may surely not do, by the acts of a schedule.

    `owner`: the owner at the start. An act that ended at 0 says who was out at the start.
    """

    acts: Sequence[GroupAct]
    owner: int

    def is_out(self, user: int, *, begun: int, ended: int) -> bool:
        """Tell whether a request of this user ran while the user was surely out of the group."""
        return self._is_taken(GO, COME, user, begun, ended)

    def is_in(self, user: int) -> bool:
        """Tell whether the user surely is in the group at the end."""
        return self._is_taken(COME, GO, user, NEVER - 1, NEVER)

    def silenced_by(self, user: int, *, begun: int, ended: int) -> str | None:
        """Return why this user surely could not send in a request; None where the user might."""
        if self.is_out(user, begun=begun, ended=ended):
            return "out"
        if self._is_taken({Verb.DISSOLVE}, (), None, begun, ended):
            return "dissolved"
        if self._is_taken({Verb.MUTE}, {Verb.UNMUTE, Verb.TRANSFER}, user, begun, ended):
            return "muted"
        if self._is_ordinary(user) and self._is_taken(
            {Verb.MUTE_ALL}, {Verb.UNMUTE_ALL}, None, begun, ended
        ):
            return "all muted"
        return None

    def hidden_before(self, user: int, begun: int) -> int:
        """Return the moment before which no acknowledged message is shown to this user.

        `begun`: the beginning of the read. The moment is the last at which somebody surely out
        may have come back: the join itself came at that moment or later.
        """
        return max((each for each in self._returns(user) if each < begun), default=0)

    def may_be_hidden(self, user: int, *, said: int, ended: int) -> bool:
        """Tell whether a join may hide a message from this user.

        `said`: when the message was first tried. `ended`: the end of the read.
        """
        return any(
            act.begun < ended and not (act.outcome is Outcome.DONE and act.ended < said)
            for act in self._given(COME, user)
        )

    def are_told(self, verb: Verb, actor: int, user: int | None) -> bool:
        """Tell whether all such acts were answered, so that everybody is told of their notices."""
        acts = [act for act in self.acts if (act.verb, act.actor) == (verb, actor)]
        return all(act.outcome is not Outcome.UNKNOWN for act in acts if act.user == user)

    def _returns(self, user: int) -> Iterator[int]:
        for act in self._given(COME, user):
            if self.is_out(user, begun=act.begun, ended=act.begun):
                yield act.begun

    def _is_ordinary(self, user: int) -> bool:
        """Tell whether the user was surely never more than a member."""
        return user != self.owner and not any(self._given(RISE, user))

    def _is_taken(
        self,
        taking: Collection[Verb],
        giving: Collection[Verb],
        user: int | None,
        begun: int,
        ended: int,
    ) -> bool:
        takes = [
            (act.begun, act.ended)
            for act in self._given(taking, user)
            if act.outcome is Outcome.DONE and act.ended < begun
        ]
        gives = [
            (act.begun, act.ended if act.outcome is Outcome.DONE else NEVER)
            for act in self._given(giving, user)
            if act.begun < ended
        ]
        return any(all(given < took for _, given in gives) for took, _ in takes)

    def _given(self, verbs: Collection[Verb], user: int | None) -> Iterator[GroupAct]:
        """Yield the acts of these verbs about this user that may have been done."""
        for act in self.acts:
            if act.verb in verbs and act.outcome is not Outcome.REFUSED and act.user == user:
                yield act
