"""The tables as CSV and TeX: what is written is what was measured."""

import csv
import io
import re
from dataclasses import replace
from typing import get_args, get_type_hints

import pytest

from likeness.compare.costs import COSTS as COST_COLUMNS
from likeness.compare.markup import ARROWS
from likeness.compare.recipes import whose
from likeness.compare.tables import Line, groups, headlines, marked, shown, shown_heads
from likeness.compare.terms import Terms, labels
from likeness.compare.written import TEX_ARROWS, as_csv, as_tex, recipes_csv, tex
from likeness.evaluate.catalogue import COLUMNS, Column
from likeness.evaluate.metrics import RECIPES

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
    found = marked(LINES, COLUMNS)
    assert all(column[2:] == [None, None] for column in found.values())  # held still would have won
    assert found["full"][:2] == ["best", "second"] and found["mouth"][:2] == ["second", "best"]
    assert found["lmd"][:2] == ["second", "best"] and found["opening_ratio"][:2] == ["best", "second"]
    assert found["jitter"] == [None] * 4  # one alone is not the best


def test_near_real_is_near_the_real_line():
    lines = [Line("a", "sound", {"jitter": 0.5}), Line("b", "sound", {"jitter": 0.9}), LINES[-1]]
    assert marked(lines, COLUMNS)["jitter"] == ["second", "best", None]
    assert marked(lines[:2], COLUMNS)["jitter"] == [None, None]


def test_only_columns_with_something_in_them():
    assert list(shown_heads(LINES, COLUMNS)) == [name for name in COLUMNS if name in FIRST]
    assert shown_heads([], COLUMNS) == {}


def test_groups_keep_the_order_and_lose_no_column():
    heads = {name: replace(head, group=("face", "time")[i % 2]) for i, (name, head) in enumerate(COLUMNS.items())}
    found = groups(heads)
    assert list(found) == ["face", "time"] and sorted(name for part in found.values() for name in part) == sorted(COLUMNS)
    assert list(found["face"]) == list(COLUMNS)[::2]


def test_csv_round_trip():
    rows = list(csv.DictReader(io.StringIO(as_csv(LINES, COSTS))))
    assert [row["name"] for row in rows] == [line.name for line in LINES]
    assert [row["ranked"] for row in rows] == ["yes", "yes", "no", "no"]
    for row, line in zip(rows, LINES):
        read = {name: float(row[name]) for name in FIRST if row[name]}
        assert read == {name: value for name, value in line.values.items() if value is not None}  # to the last bit
    assert (float(rows[0]["mouth_low"]), float(rows[0]["mouth_high"])) == (27.1, 28.2) and rows[1]["mouth_low"] == ""
    assert float(rows[0]["training_steps_s"]) == 76.25 and rows[1]["portrait_mb"] == ""


def test_lines_of_other_terms_or_recipes_are_not_ranked_with_each_other():
    small, large = Terms(128, (1, 2, 3), "raw-frames/1"), Terms(256, (1, 2, 3), "raw-frames/1")
    lines = [
        Line("a", "sound", {"jitter": 0.5, "full": 30.0, "seam_edge": 3.0}, terms=large, recipes={"seam edge": "one"}),
        Line("b", "sound", {"jitter": 0.9, "full": 31.0, "seam_edge": 2.0}, terms=large, recipes={"seam edge": "other"}),
        Line("real", "real", {"jitter": 0.8, "seam_edge": 2.9}, ranked=False, terms=large, recipes={"seam edge": "one"}),
        Line("c", "sound", {"jitter": 0.2, "full": 40.0, "seam_edge": 1.0}, terms=small, recipes={"seam edge": "other"}),
        Line("d", "sound", {"jitter": 0.4, "full": 41.0, "seam_edge": 1.0}, terms=small, recipes={"seam edge": "one"}),
        Line("real, small", "real", {"jitter": 0.1}, ranked=False, terms=small, recipes={"seam edge": "other"}),
    ]
    found = marked(lines, COLUMNS)
    assert found["full"] == ["second", "best", None] * 2
    assert found["jitter"] == ["second", "best", None, "best", "second", None]  # each to its own real line
    assert found["seam_edge"] == [None] * 6  # two recipes


def test_labels_tell_what_differs():
    terms = Terms(256, tuple(range(90, 140)), "raw-frames/1")
    assert labels([terms, terms]) == {terms: ""}
    other, brief = replace(terms, size=128, pictures="decoded-h264/1"), replace(terms, frames=terms.frames[:-2])
    assert list(labels([terms, other]).values()) == ["256 px, raw-frames/1", "128 px, decoded-h264/1"]
    assert list(labels([terms, brief]).values()) == ["50 frames from 90", "48 frames from 90"]


def test_facts_with_their_names_where_not_all_share_them():
    held = {"a": {"boxes": "x", "pictures": "raw", "sync": "no weights"}, "b": {"boxes": "x", "pictures": "h264"}}
    assert whose(held) == {"boxes": "x", "pictures (a)": "raw", "pictures (b)": "h264", "sync (a)": "no weights"}


def test_headlines_are_what_all_entries_have():
    lines = [
        Line("a", "sound", {"full_own": 30.0, "lmd": 1.0, "jitter": 0.7, "face": 30.0}, {"lmd": [0.9, 1.1]}),
        Line("b", "sound", {"full_own": 31.0, "lmd": None, "jitter": 0.8, "face": 31.0}),
        Line("b, held still", "static", {"full_own": 31.0}, ranked=False),
        Line("real", "real", {"jitter": 0.9}, ranked=False),
    ]
    first, heads = headlines(lines, [Line("a", "cost", {"picture_fps": 40.0})])
    assert [line.name for line in first] == ["a", "b", "real"] and list(heads) == ["full_own", "jitter"]
    first, heads = headlines(lines, [Line(name, "cost", {"picture_fps": 40.0}) for name in "ab"])
    assert list(heads) == ["full_own", "jitter", "picture_fps"] and first[1].values["picture_fps"] == 40
    assert all(line.intervals == {} for line in first)


def test_memory_is_not_ranked():
    costs = [Line(name, "cost", {"peak_mb": mb, "portrait_mb": mb}) for name, mb in (("a", 900.0), ("b", 1200.0))]
    found = marked(costs, COST_COLUMNS)
    assert found["peak_mb"] == [None, None] and found["portrait_mb"] == ["best", "second"]


TERMS = Terms(256, tuple(range(52)), "raw-frames/1")
SAID = [replace(line, terms=TERMS, frames=52, recipes=RECIPES) for line in LINES]


def test_csv_says_by_what_its_figures_are():
    rows = list(csv.DictReader(io.StringIO(as_csv(SAID, COSTS, "abc1234+"))))
    about = {(row["size"], row["frames"], row["pictures"], row["commit"]) for row in rows}
    assert about == {("256", "52", "raw-frames/1", "abc1234+")}
    recipes = list(csv.DictReader(io.StringIO(recipes_csv({"table": SAID}))))
    its = {row["column"]: row["recipe"] for row in recipes if (row["table"], row["name"]) == ("table", "rigged & sons_1")}
    assert {name: its[name] for name in FIRST} == {name: COLUMNS[name].recipe_id for name in FIRST}
    assert its["mouth box"] == RECIPES["mouth box"] and "flicker, own flow" not in its and "fid" not in its


def test_tex_round_trip():
    text = as_tex(SAID, ["a clip, commit\nabc1234"])
    heads = groups(shown_heads(SAID, COLUMNS))
    tabulars = text.split("\\begin{tabular}")
    assert len(tabulars) == len(heads) + 1 and text.count("\\midrule") == 2 * len(heads)
    assert text.count("{") == text.count("}")
    for tabular, columns in zip(tabulars[1:], heads.values()):
        body = [line for line in tabular.splitlines() if line.endswith(r"\\")][2:]
        assert len(body) == len(SAID)
        for row, line in zip(body, SAID):
            name, *cells = re.split(r"(?<!\\) & ", row.removesuffix(r" \\"))
            assert name.replace("\\", "") == line.name
            for cell, (column, head) in zip(cells, columns.items(), strict=True):
                plain = re.sub(r"\\(textbf|underline)\{(.*)\}", r"\2", cell).replace("--", "–")
                assert plain == shown(line.values.get(column), head.digits)
        assert "textbf" not in body[2] + body[3]
    assert r"\textbf{36.2}" in text and r"\underline{35.7}" in text


def test_tex_comments_say_by_what_its_figures_are():
    theirs = replace(SAID[1], terms=replace(TERMS, pictures="decoded-h264/1"), recipes={**RECIPES, "lmd": "lmd-other/1"})
    text = as_tex([SAID[0], theirs, *SAID[2:]], ["a clip, commit\nabc1234"])
    comments = [line for line in text.splitlines() if line.startswith("%")]
    assert comments[0] == "% a clip, commit abc1234"  # a line's end within a name ends no comment
    assert "% rigged & sons_1: 256 x 256, 52 frames, raw-frames/1" in comments
    assert "% theirs: 256 x 256, 52 frames, decoded-h264/1" in comments
    assert f"% psnr: {RECIPES['psnr']}" in comments and "% lmd (theirs): lmd-other/1" in comments
    assert "textbf" not in text  # one alone in its set, and one of another recipe


@pytest.mark.parametrize("text", ["a_b", "50 % & more", "{x}^2 ~ \\y #1 $"])
def test_tex_escapes(text):
    escaped = tex(text)
    assert not re.search(r"(?<!\\)[&%$#_]", escaped)
    words = escaped.replace(r"\textbackslash{}", "\\").replace(r"\textasciitilde{}", "~").replace(r"\textasciicircum{}", "^")
    assert re.sub(r"\\([&%$#_{}])", r"\1", words) == text


def test_negative_and_unknown_figures():
    line = Line("a", "sound", {"opening_r": -0.13, "lmd": float("nan"), "full": float("inf")})
    assert "$-$0.13" in as_tex([line]) and shown(float("nan"), 2) == shown(None, 1) == shown(float("inf"), 1) == "–"
    assert set(ARROWS) - {None} == set(TEX_ARROWS) == set(get_args(get_type_hints(Column)["better"]))
