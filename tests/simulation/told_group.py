"""Follow a group by its notices alone."""

from __future__ import annotations

from dataclasses import dataclass

from messaging.domain.groups import Event, Notice, Role

COME = (Event.JOINED, Event.INVITED)
GO = (Event.LEFT, Event.REMOVED, Event.BANNED)
ABOUT_ALL = (Event.ALL_MUTED, Event.ALL_UNMUTED)


@dataclass(slots=True)
class ToldGroup:
    """Hold the state of a group that the notices so far tell of."""

    members: dict[int, Role]
    is_all_muted: bool = False
    is_dissolved: bool = False

    def take(self, actor: int, notice: Notice) -> str | None:
        """Make the change that a notice tells of; return what is wrong with it, if anything."""
        users, event = set(notice.user_ids), notice.event
        known = users & self.members.keys()
        if event in COME:
            self.members |= dict.fromkeys(notice.user_ids, Role.MEMBER)
            return "members come" if known else None
        if known != users:
            return "a stranger is meant"
        if event in GO:
            for user in users:
                del self.members[user]
            return None
        if event is Event.DISSOLVED:
            was, self.is_dissolved = self.is_dissolved, True
            return "dissolved twice" if was else None
        if event in ABOUT_ALL:
            was, self.is_all_muted = self.is_all_muted, event is Event.ALL_MUTED
            return "no change" if was == self.is_all_muted else None
        return self._take_role(actor, notice)

    def _take_role(self, actor: int, notice: Notice) -> str | None:
        if self.members.get(actor, Role.MEMBER) is Role.MEMBER:
            return "a mere member acts"
        for user in notice.user_ids:
            if notice.event is Event.ROLE and notice.role is not None:
                self.members[user] = notice.role
            elif notice.event is Event.TRANSFERRED:
                if self.members[actor] is not Role.OWNER:
                    return "no owner hands over"
                self.members |= {actor: Role.ADMIN, user: Role.OWNER}
        return None
