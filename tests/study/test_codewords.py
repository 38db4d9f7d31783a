"""Code words of every script; written however, they are the same."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.study.codewords import LONGEST, SHORTEST, normal, suggested
from likeness.study.scales import NoAnswer

WORDS = ("नमस्ते", "สวัสดี", "İstanbul", "Éloïse", "Straße", "ﬁnger", "かみなり", "שָׁלוֹם", "مرحبًا", "river-stone 7")


@pytest.mark.parametrize("word", WORDS)
def test_ordinary_words_are_taken_however_they_are_encoded(word):
    taken = normal(word)
    assert normal(taken) == normal(f"  {word}  ") == taken
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert normal(unicodedata.normalize(form, word)) == taken


@given(st.text(max_size=LONGEST) | st.text("aǰİßΐᾳͅ\u0301\u0323- ﬃ한१", min_size=SHORTEST, max_size=12))
def test_what_is_taken_is_taken_as_it_is(word):
    try:
        taken = normal(word)
    except NoAnswer:
        return
    assert normal(taken) == taken and SHORTEST <= len(taken) <= LONGEST
    kinds = {unicodedata.category(sign)[0] for sign in taken}
    assert kinds <= set("LNM") | {unicodedata.category(sign)[0] for sign in " -"}


@pytest.mark.parametrize(
    "word", ["\u0301abc", "ab \u0301c", "12\u20e3 ab", "-\u0301abc", "<b>", "a\x00bc", "💐💐💐", "ab", "x" * 41]
)
def test_what_is_no_word_is_refused(word):
    with pytest.raises(NoAnswer, match="code word"):
        normal(word)


def test_suggested_words_are_words():
    assert all(normal(word) == word for word in (suggested() for _ in range(50)))
