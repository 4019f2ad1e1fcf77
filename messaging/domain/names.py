"""Check the name of a user or a group, so that a name shows what it is.

Pure. A name is refused by its length before anything else is done with it. Character properties are
those of `regex`, whose Unicode does not depend on Python's.
"""

from __future__ import annotations

import unicodedata

import regex

from messaging.domain.request_fields import FieldError, InvalidField
from messaging.limits import (
    MAX_GROUP_NAME_CHARACTERS,
    MAX_LOGIN_NAME_CHARACTERS,
    MAX_NAME_CHARACTERS,
    MIN_NAME_CHARACTERS,
)

LONGEST_FOLDED = 255

# Scripts that people write names in (UAX 31: recommended, and of limited use).
LOOK_ALIKE = ("Latn", "Cyrl", "Grek", "Armn")
OTHERS = (
    "Arab Beng Bopo Deva Ethi Geor Gujr Guru Hang Hani Hebr Hira Kana Khmr Knda Laoo Mlym Mymr Orya"
    " Sinh Taml Telu Thaa Thai Tibt"
)
RARE = (
    "Adlm Bali Bamu Batk Cakm Cans Cham Cher Java Kali Lana Lepc Limb Lisu Mand Mong Mtei Newa Nkoo"
    " Olck Osge Plrd Rohg Saur Sund Sylo Syrc Tale Talu Tavt Tfng Vaii Wcho Yiii"
)
TOGETHER = ("Latn Hani Hira Kana", "Latn Hani Hang", "Latn Hani Bopo")

# Letters that show nothing, beside Default_Ignorable_Code_Point (Hangul fillers among them).
_BLANK = r"\u2800\u2D7F\U0001107F\U00013441\U00013442\U00016FE4\U0001D159"
_GENERAL_MARK = r"[\u0300-\u036F\u1AB0-\u1AFF\u1DC0-\u1DFF\u20D0-\u20FF\uFE20-\uFE2F]"
_JOINER = regex.compile(  # RFC 5892, CONTEXTJ: where a script needs them
    r"(?<=\p{ccc=9})[\u200C\u200D]"
    r"|(?<=[\p{jt=L}\p{jt=D}]\p{jt=T}*)\u200C(?=\p{jt=T}*[\p{jt=R}\p{jt=D}])"
)
_EMOJI_JOINER = regex.compile(
    r"(?<=[\p{Emoji}\u20E3])[\uFE0E\uFE0F]"
    r"|(?<=[\p{Extended_Pictographic}\p{Emoji_Modifier}]\uFE0F?)\u200D(?=\p{Extended_Pictographic})"
)
_INVISIBLE = regex.compile(rf"[\p{{DI}}\p{{Z}}\p{{Cc}}\p{{Cf}}\p{{Cs}}\p{{Co}}\p{{Cn}}{_BLANK}]")
_USER_NAME = regex.compile(r"[\p{L}\p{Mn}\p{Mc}\p{N}_.@+-]+")
_FIRST_MARK = regex.compile(r"(?<![\p{L}\p{M}])\p{M}")
_GROUPS_FIRST_MARK = regex.compile(r"(?<![^\p{Z}])\p{M}")
_STACK = regex.compile(rf"\p{{M}}{{5}}|{_GENERAL_MARK}{{3}}|(\p{{M}})\1")


def _written_in(scripts: str) -> str:
    classes = "".join(rf"\p{{scx={script}}}" for script in scripts.split())
    return rf"[{classes}\p{{sc=Zyyy}}\p{{sc=Zinh}}]+"


_WRITINGS = [
    *LOOK_ALIKE,
    *RARE.split(),
    *(f"Latn {script}" for script in OTHERS.split()),
    *TOGETHER,
]
_ONE_WRITING = regex.compile("|".join(map(_written_in, _WRITINGS)))


def composed(name: str) -> str:
    """Return a typed user name in Unicode's NFKC form, as Django keeps it.

    Raises: InvalidField for a name that is too long to be normalised.
    """
    if len(name) > MAX_LOGIN_NAME_CHARACTERS:
        raise InvalidField(FieldError.USERNAME_LENGTH)
    return unicodedata.normalize("NFKC", name)


def fold(name: str) -> str:
    """Return the folded name, alike for names that count as one: `ALICE` and `alice`."""
    folded = name.replace("\u200c", "").replace("\u200d", "")
    for _ in range(2):  # the second pass folds what the first one has composed
        folded = unicodedata.normalize("NFD", folded).casefold()
        folded = unicodedata.normalize("NFKC", folded)
    return folded[:LONGEST_FOLDED]


def check_user_name(name: str) -> None:
    """Check that a user may take this name.

    Raises: InvalidField, with the reason, where no user may.
    """
    name = composed(name)
    if not MIN_NAME_CHARACTERS <= len(name) <= MAX_NAME_CHARACTERS:
        raise InvalidField(FieldError.USERNAME_LENGTH)
    shown = _JOINER.sub("", name)
    if _INVISIBLE.search(shown):
        raise InvalidField(FieldError.NAME_INVISIBLE)
    if not _USER_NAME.fullmatch(shown):
        raise InvalidField(FieldError.USERNAME_CHARACTERS)
    if _FIRST_MARK.search(shown) or _STACK.search(shown):
        raise InvalidField(FieldError.NAME_MARKS)
    if not _ONE_WRITING.fullmatch(shown):
        raise InvalidField(FieldError.USERNAME_SCRIPTS)


def check_group_name(name: str) -> None:
    """Check that a group may take this name, which may have words and emoji.

    Raises: InvalidField, with the reason, where no group may.
    """
    if len(name) > MAX_GROUP_NAME_CHARACTERS:
        raise InvalidField(FieldError.GROUP_NAME_LENGTH)
    shown = _EMOJI_JOINER.sub("", _JOINER.sub("", name))
    if name != name.strip() or _INVISIBLE.search(regex.sub("[ \u3000]", "", shown)):
        raise InvalidField(FieldError.NAME_INVISIBLE)
    shown = unicodedata.normalize("NFC", shown)
    if _GROUPS_FIRST_MARK.search(shown) or _STACK.search(shown):
        raise InvalidField(FieldError.NAME_MARKS)
