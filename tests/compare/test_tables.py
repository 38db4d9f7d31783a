"""The tables as CSV and TeX: what is written is what was measured."""

import csv
import io
import re
from dataclasses import replace
from typing import get_args

import pytest

from likeness.compare import tables
from likeness.compare.ranking import Better
from likeness.compare.tables import HEADS, Line, as_csv, as_tex, marked, shown, shown_heads, tex

FIRST = {"full": 36.194929, "mouth": 27.657128, "lmd": 0.6094670295715332, "opening_ratio": 0.853, "jitter": 0.6776}
OTHER = {"full": 35.7, "mouth": 28.1, "lmd": 0.57, "opening_ratio": 1.2, "jitter": None}
STILL = {"full": 40.0, "mouth": 40.0, "lmd": 0.01, "opening_ratio": 1.0, "jitter": 0.78}
REAL = {"lmd": 0.0, "opening_ratio": 1.0, "jitter": 0.78}
LINES = [
    Line("rigged & sons_1", "sound", FIRST, {"mouth": [27.1, 28.2]}, entry=0),
    Line("theirs", "sound", OTHER, entry=1),
    Line("theirs, held still", "static", STILL, ranked=False),
    Line("real", "real", REAL, ranked=False),
]
COSTS = [
    Line("rigged & sons_1", "cost", {"training_steps_s": 76.25, "portrait_mb": 9.6, "render_fps": 140.0, "picture_fps": 130.0})
]


def test_references_are_shown_and_never_marked():
    found = marked(LINES, HEADS)
    assert all(column[2:] == [None, None] for column in found.values())  # held still would have won
    assert found["full"][:2] == ["best", "second"] and found["mouth"][:2] == ["second", "best"]
    assert found["lmd"][:2] == ["second", "best"] and found["opening_ratio"][:2] == ["best", "second"]
    assert found["jitter"] == [None] * 4  # one alone is not the best


def test_near_real_is_near_the_real_line():
    lines = [Line("a", "sound", {"jitter": 0.5}), Line("b", "sound", {"jitter": 0.9}), LINES[-1]]
    assert marked(lines, HEADS)["jitter"] == ["second", "best", None]
    assert marked(lines[:2], HEADS)["jitter"] == [None, None]


def test_only_columns_with_something_in_them():
    assert list(shown_heads(LINES, HEADS)) == [name for name in HEADS if name in FIRST]
    assert shown_heads([], HEADS) == {}


def test_groups_keep_the_order_and_lose_no_column():
    heads = {name: replace(head, group="ab"[i % 2]) for i, (name, head) in enumerate(HEADS.items())}
    found = tables.groups(heads)
    assert list(found) == ["a", "b"] and sorted(name for part in found.values() for name in part) == sorted(HEADS)
    assert list(found["a"]) == list(HEADS)[::2]


def test_csv_round_trip():
    rows = list(csv.DictReader(io.StringIO(as_csv(LINES, COSTS))))
    assert [row["name"] for row in rows] == [line.name for line in LINES]
    assert [row["ranked"] for row in rows] == ["yes", "yes", "no", "no"]
    for row, line in zip(rows, LINES):
        read = {name: float(row[name]) for name in FIRST if row[name]}
        assert read == {name: value for name, value in line.values.items() if value is not None}  # to the last bit
    assert (float(rows[0]["mouth_low"]), float(rows[0]["mouth_high"])) == (27.1, 28.2) and rows[1]["mouth_low"] == ""
    assert float(rows[0]["training_steps_s"]) == 76.25 and rows[1]["portrait_mb"] == ""


def test_tex_round_trip():
    text = as_tex(LINES)
    assert text.count("\\toprule") == text.count("\\bottomrule") == 1 and text.count("\\midrule") == 2
    assert text.count("{") == text.count("}")
    body = [line for line in text.splitlines() if line.endswith(r"\\")][2:]
    assert len(body) == len(LINES)
    for row, line in zip(body, LINES):
        name, *cells = re.split(r"(?<!\\) & ", row.removesuffix(r" \\"))
        assert name.replace("\\", "") == line.name
        for cell, (column, head) in zip(cells, shown_heads(LINES, HEADS).items(), strict=True):
            plain = re.sub(r"\\(textbf|underline)\{(.*)\}", r"\2", cell).replace("--", "–")
            assert plain == shown(line.values.get(column), head.digits)
    assert r"\textbf{36.2}" in body[0] and r"\underline{35.7}" in body[1]
    assert "textbf" not in body[2] + body[3]


@pytest.mark.parametrize("text", ["a_b", "50 % & more", "{x}^2 ~ \\y #1 $"])
def test_tex_escapes(text):
    escaped = tex(text)
    assert not re.search(r"(?<!\\)[&%$#_]", escaped)
    words = escaped.replace(r"\textbackslash{}", "\\").replace(r"\textasciitilde{}", "~").replace(r"\textasciicircum{}", "^")
    assert re.sub(r"\\([&%$#_{}])", r"\1", words) == text


def test_negative_and_unknown_figures():
    line = Line("a", "sound", {"opening_r": -0.13, "lmd": float("nan"), "full": float("inf")})
    assert "$-$0.13" in as_tex([line]) and shown(float("nan"), 2) == shown(None, 1) == shown(float("inf"), 1) == "–"
    assert set(tables.ARROWS) == set(tables.TEX_ARROWS) == set(get_args(Better))
