"""Word the operations page in the reader's language."""

from __future__ import annotations

from enum import StrEnum

from django.utils.translation import gettext

from messaging.domain.modes import Reads, Sends, Status
from messaging.service.readiness import ModeNow


class Text(StrEnum):
    """Name the texts of the page, in English; the script knows them by the names."""

    TITLE = "Operations"
    HOME = "Home"
    PENDING_LIST = "Pending messages"
    LETTER_LIST = "Dead letters"
    PAUSE = "Pause"
    AS_TABLE = "As a table"
    DOCTOR_TITLE = "Doctor"
    DOCTOR_RUN = "Examine now"
    DOCTOR_HELP = "Looks at everything around this process for some seconds; changes nothing."
    TRACE_LINK = "Trace of a message"
    NO_SCRIPT = "The numbers and plots need JavaScript. Without it: manage.py doctor"

    PENDING_NOW = "Pending"
    OLDEST_NOW = "Oldest pending"
    STORED_NOW = "Stored a second"
    LAG_NOW = "Log behind by"
    LETTERS_NOW = "Open dead letters"
    UNACCOUNTED_NOW = "Unaccounted"

    PLOT_SENDS = "Accepted sends a second, by what confirmed them"
    PLOT_ANSWERS = "Time until a send is answered"
    PLOT_LAG = "Time until a message is stored"
    PLOT_PENDING = "Pending messages, and the age of the oldest"
    PLOT_LOG = "Age of the first record that is not stored, by partition"
    PLOT_BREAKERS = "Processes that see a part away"
    PLOT_LETTERS = "Open dead letters, and unaccounted messages"

    CACHE = "Redis"
    LOG = "the log"
    STORE = "the database"
    MEDIAN = "median"
    P99 = "99th percentile"
    PENDING = "pending"
    OLDEST = "oldest"
    OPEN = "open letters"
    UNACCOUNTED = "unaccounted"
    TIME = "time (UTC)"
    NONE = "no data yet"
    SECONDS = "s"
    MILLISECONDS = "ms"
    AWAY = "The exporter does not answer, so there are no numbers. Start it: manage.py run_exporter"
    LOST = "The site does not answer; this page tries again every two seconds."

    WELL = "Redis, the log and the database answer; sends are accepted."
    PART_AWAY = "Away for {seconds} s: {part}."
    FULL = "Too many accepted messages are not stored yet, or no message ids can be given."
    SENDS_LOG = "Sends are accepted; the log confirms them."
    SENDS_CACHE = "Sends are accepted; Redis confirms them."
    SENDS_STORE = "Sends are accepted; the database confirms them, which takes longer."
    SENDS_REFUSED = "Sends are refused with 503; clients are to try again."
    READS_ALL = "Everything can be read."
    READS_CACHED = "What Redis holds can be read; pages may be partial."
    READS_STORED = "What the database holds can be read; pages may be partial."
    READS_REFUSED = "Reads are refused with 503."


PLOTS = ("sends", "answers", "lag", "pending", "log", "breakers", "letters")
TILES = ("pending", "oldest", "stored", "lag", "letters", "unaccounted")
_SENDS = {
    Sends.LOG: Text.SENDS_LOG,
    Sends.CACHE: Text.SENDS_CACHE,
    Sends.STORE: Text.SENDS_STORE,
    Sends.REFUSED: Text.SENDS_REFUSED,
}
_READS = {
    Reads.ALL: Text.READS_ALL,
    Reads.CACHED: Text.READS_CACHED,
    Reads.STORED: Text.READS_STORED,
    Reads.REFUSED: Text.READS_REFUSED,
}


def words() -> dict[str, str]:
    """Return all texts by their names in lower case."""
    return {text.name.lower(): gettext(text) for text in Text}


def status_text(now: ModeNow) -> str:
    """Return what is away, for how long, and what still works."""
    if now.mode.status is Status.OK:
        return gettext(Text.WELL)
    told = [
        gettext(Text.PART_AWAY).format(part=gettext(Text[name.upper()]), seconds=f"{away_s:,.0f}")
        for name, away_s in now.away.items()
    ]
    if not told:
        told.append(gettext(Text.FULL))
    return " ".join([*told, gettext(_SENDS[now.mode.sends]), gettext(_READS[now.mode.reads])])
