"""Code words: what a participant is known by, chosen or given; no names, no addresses."""

from __future__ import annotations

import secrets
import unicodedata

from likeness.study.scales import NoAnswer

SHORTEST, LONGEST = 3, 40
COLOURS = "amber blue bronze copper coral crimson golden green indigo ivory olive pearl purple ruby silver violet"
THINGS = (
    "acorn anchor apple badger beaver bridge candle castle cherry clover comet falcon feather forest garden harbor heron "
    "island kettle ladder lantern lemon maple meadow mirror otter pebble pepper pigeon planet rabbit river robin saddle "
    "sparrow spruce teapot thistle tiger tulip valley walnut willow window"
)


def normal(word: str) -> str:
    """A code word as it is compared: however it is capitalised and spaced. Raises NoAnswer for what is none."""
    folded = unicodedata.normalize("NFKC", word)
    while (again := unicodedata.normalize("NFKC", folded.casefold())) != folded:  # either may undo the other's work
        folded = again
    plain = " ".join(folded.split())
    if not SHORTEST <= len(plain) <= LONGEST:
        raise NoAnswer(f"A code word has {SHORTEST} to {LONGEST} letters or digits. Choose another one.")
    if not plain[0].isalnum() or not all(map(_may_follow, plain, plain[1:])):
        raise NoAnswer(
            "A code word holds letters, digits, spaces and hyphens, and begins with a letter or digit. Choose another one."
        )
    return plain


def _may_follow(before: str, sign: str) -> bool:
    """Whether a sign may stand after another: a vowel sign or an accent (category M) only after a letter or another one."""
    if unicodedata.category(sign).startswith("M"):
        return before.isalpha() or unicodedata.category(before).startswith("M")
    return sign.isalnum() or sign in " -"


def suggested() -> str:
    """A code word for somebody who does not care, such as “amber-otter-41”."""
    return f"{secrets.choice(COLOURS.split())}-{secrets.choice(THINGS.split())}-{secrets.randbelow(90) + 10}"
