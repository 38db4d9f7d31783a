"""Report and export, by the commands: figures that were worked out by hand, and whose answers count."""

import csv
import json

import numpy as np
import pytest

from likeness.cli import run
from likeness.study.answers import FILE, Answers
from likeness.study.scales import BETTER, KEYS, RATING, VOTE
from likeness.study.videos import Videos
from tests.study.studies import METHODS, NAMES, answer_all

BEST, MIDDLE, WORST = METHODS
LEVEL = {BEST: 5, MIDDLE: 3, WORST: 2}


def rate(method: str, name: str, key: str) -> int:
    return LEVEL[method] if key == "sync" else 4


def prefer(left: str, right: str, name: str) -> bool:
    return LEVEL[left] > LEVEL[right]


@pytest.fixture
def answers(folder):
    study = Answers.serve(Videos.open(folder), 0)
    yield study
    study.close()


@pytest.fixture
def said(capsys):
    def call(*words: object, code: int = 0) -> str:
        capsys.readouterr()
        assert run(["study", *(str(word) for word in words)]) == code
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return err if code else out

    return call


def test_figures_by_hand(folder, answers, said):
    for name, shift in (("first", 0), ("second", 0), ("third", -1)):
        answer_all(answers, name, lambda m, n, k, s=shift: rate(m, n, k) + (s if (m, k) == (MIDDLE, "sync") else 0), prefer)
    found = json.loads(said("report", folder, "--json"))
    sync = found["ratings"]["sync"]
    assert [sync[m]["value"] for m in METHODS] == [5, pytest.approx((3 + 3 + 2) / 3, abs=1e-4), 2]
    assert sync[BEST] == {"value": 5, "low": 5, "high": 5, "answers": 6}
    assert (sync[MIDDLE]["low"], sync[MIDDLE]["high"]) == (2, 3)  # each of three in all draws: 1/27 of them, over 2.5 %
    assert found["wins"] == [[0, 3, 3], [0, 0, 3], [0, 0, 0]]
    strengths = [found["strengths"][m]["value"] for m in METHODS]
    assert strengths[0] == pytest.approx(-strengths[2], abs=1e-3) and strengths[1] == pytest.approx(0, abs=1e-3)
    assert [found["strengths"][m]["answers"] for m in METHODS] == [6, 6, 6]
    # nobody disagreed: how sure this is only other people could tell
    assert all(found["strengths"][m][end] is None for m in METHODS for end in ("low", "high"))
    less = found["strength_differences"]
    assert less["against"] == BEST and less["by"][WORST]["value"] == pytest.approx(2 * strengths[2], abs=1e-3)
    assert less["by"][WORST]["low"] is None
    assert found["agreement"]["quality"] == {"value": None, "low": None, "high": None, "answers": 18}
    agreement = found["agreement"]["sync"]
    assert 0.8 < agreement["value"] < agreement["high"] == 1 and agreement["low"] < agreement["value"]
    less = found["rating_differences"]["sync"]
    assert less["against"] == BEST and less["by"].keys() == {MIDDLE, WORST}
    assert less["by"][WORST] == {"value": -3, "low": -3, "high": -3, "answers": 12}
    assert [less["by"][MIDDLE][k] for k in ("value", "low", "high")] == [pytest.approx(-7 / 3, abs=1e-4), -3, -2]
    assert json.loads(said("report", folder, "--json")) == found


def test_the_best_is_found_among_people_who_err(folder, answers, said):
    chance = np.random.default_rng(0)
    for person in range(16):
        answer_all(
            answers,
            f"person {person}",
            lambda m, n, k: int(np.clip(round(LEVEL[m] + chance.normal(0, 0.8)), 1, 5)),
            lambda a, b, n: chance.random() < 1 / (1 + np.exp(LEVEL[b] - LEVEL[a])),
        )
    found = json.loads(said("report", folder, "--json"))
    for scale in found["ratings"].values():
        assert scale[BEST]["low"] > scale[MIDDLE]["high"] and all(f["low"] < f["value"] < f["high"] for f in scale.values())
        assert all(f["answers"] == 16 * len(NAMES) for f in scale.values())
    strengths = found["strengths"]
    assert all(s["low"] < s["value"] < s["high"] for s in strengths.values())
    assert strengths[BEST]["low"] > strengths[WORST]["high"]
    assert all(s["low"] < s["value"] < s["high"] for s in found["agreement"].values())
    differences = [*found["rating_differences"].values(), found["strength_differences"]]
    assert all(d["against"] == BEST and all(f["high"] < 0 for f in d["by"].values()) for d in differences)
    shown = said("report", folder)
    assert all(method in shown for method in METHODS) and "16 participants" in shown and "alpha" in shown


def test_who_has_not_finished_is_named_and_counts_by_the_rule(folder, answers, said):
    answer_all(answers, "whole", rate, prefer)
    half = answers.join("half")  # every rating, one vote
    for trial in answers.trials(half.number):
        if trial.task == RATING:
            for key in KEYS:
                answers.give(half.number, RATING, trial.place, key, "1")
    answers.give(half.number, VOTE, 0, BETTER, "left")
    little = answers.join("little")
    answers.give(little.number, RATING, 0, "sync", "1")
    answers.join("nothing")

    found = json.loads(said("report", folder, "--json"))
    assert found["ratings"]["sync"][BEST]["value"] == 3  # 5 of the whole, 1 of the half
    assert found["ratings"]["sync"][BEST]["answers"] == 2 * len(NAMES)
    assert np.sum(found["wins"]) == 3
    assert {p["code"]: (p["counted"][RATING], p["counted"][VOTE]) for p in found["participants"]} == {
        "whole": (True, True), "half": (True, False), "little": (False, False), "nothing": (False, False),
    }  # fmt: skip
    shown = said("report", folder)
    assert "not finished: half (18 of 18 ratings, 1 of 3 votes); ratings counted" in shown
    assert "not finished: nothing (0 of 18 ratings, 0 of 3 votes); nothing counted" in shown
    assert "whole (" not in shown and "Ratings count of those who rated every video" in shown

    every = json.loads(said("report", folder, "--json", "--incomplete"))
    assert np.sum(every["wins"]) == 4 and "Every answer counts" in every["rule"]
    assert sum(f["answers"] for f in every["ratings"]["sync"].values()) == 2 * 6 + 1


@pytest.mark.parametrize("people", [0, 1])
def test_a_study_of_nobody_and_of_one(folder, answers, said, people):
    for number in range(people):
        answer_all(answers, f"person {number}", rate, prefer)
    found = json.loads(said("report", folder, "--json"))
    figure = found["ratings"]["sync"][BEST]
    assert figure == {"value": 5 if people else None, "low": None, "high": None, "answers": 2 * people}
    assert found["agreement"]["sync"] == {"value": None, "low": None, "high": None, "answers": 6 * people}
    less = found["rating_differences"]["sync"]
    assert less["against"] == (BEST if people else None)
    assert [(f["value"], f["low"]) for f in less["by"].values()] == [(-2, None), (-3, None)][: 2 * people]
    assert all(s["low"] is None and (s["value"] is None) == (people == 0) for s in found["strengths"].values())
    said("report", folder)


def test_people_who_judge_by_different_standards_differ_less_in_differences(folder, answers, said):
    """All see one point between two methods; where on the scale is a matter of taste."""
    for person, taste in enumerate((0, 1, 2, 1, 0)):
        answer_all(answers, f"person {person}", lambda m, n, k, t=taste: 1 + t + (m == BEST), prefer)
    found = json.loads(said("report", folder, "--json"))
    assert all(f["high"] - f["low"] > 0.8 for f in found["ratings"]["sync"].values())
    assert found["rating_differences"]["sync"]["by"][WORST] == {"value": -1, "low": -1, "high": -1, "answers": 20}
    other = json.loads(said("report", folder, "--json", "--against", WORST))
    assert other["rating_differences"]["sync"]["by"].keys() == other["strength_differences"]["by"].keys() == {BEST, MIDDLE}
    assert other["rating_differences"]["sync"]["by"][BEST]["value"] == 1
    assert other["ratings"] == found["ratings"]
    assert f"less {WORST}" in said("report", folder, "--against", WORST)
    assert "--against nobody" in said("report", folder, "--against", "nobody", code=3)


def test_votes_without_an_interval(folder, answers, said):
    """The best wins every vote; of the two others each wins some."""
    for person in range(6):
        answer_all(answers, f"person {person}", rate, lambda a, b, n, p=person: a == BEST or (b != BEST and p % 2 == 0))
    strengths = json.loads(said("report", folder, "--json"))["strengths"]
    assert strengths[BEST]["value"] > 0 and strengths[BEST]["low"] is strengths[BEST]["high"] is None
    assert all(strengths[m]["low"] < strengths[m]["value"] < strengths[m]["high"] for m in (MIDDLE, WORST))


def test_people_are_left_out(folder, answers, said, tmp_path):
    answer_all(answers, "pilot run", lambda m, n, k: 1, prefer)
    answer_all(answers, "first", rate, prefer)
    before = json.loads(said("report", folder, "--json"))
    found = json.loads(said("report", folder, "--json", "--without", "Pilot  Run"))
    assert before["ratings"]["sync"][BEST]["value"] == 3 and found["ratings"]["sync"][BEST]["value"] == 5
    assert found["without"] == ["pilot run"] and [p["code"] for p in found["participants"]] == ["first"]
    assert "left out: pilot run" in said("report", folder, "--without", "pilot run")
    out = tmp_path / "answers.csv"
    assert json.loads(said("export", folder, out, "--json", "--without", "pilot run"))["rows"] == 18 + 3
    assert "pilot" not in out.read_text()
    assert json.loads(said("report", folder, "--json", "--without", "first", "pilot run"))["participants"] == []
    for command in (("report", folder), ("export", folder, out)):
        assert "--without stranger" in said(*command, "--without", "stranger", code=3)


def test_every_answer_is_a_row(folder, answers, said, tmp_path):
    answer_all(answers, "first", rate, prefer)
    answer_all(answers, "second", rate, prefer)
    out = tmp_path / "answers.csv"
    assert json.loads(said("export", folder, out, "--json")) == {"out": str(out), "rows": 2 * (18 + 3)}
    with open(out, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * (18 + 3)
    for row in rows:
        assert row["method"] in METHODS and row["name"] in NAMES and row["participant"] in ("first", "second")
        if row["task"] == RATING:
            assert row["answer"] == str(rate(row["method"], row["name"], row["question"])) and row["left"] == ""
        else:
            assert row["method"] == row[row["answer"]] and LEVEL[row["method"]] == max(LEVEL[row[s]] for s in ("left", "right"))
    assert sorted({int(row["place"]) for row in rows if row["task"] == RATING}) == list(range(1, 7))


def test_what_cannot_be_reported_or_exported(folder, said, tmp_path):
    assert "study serve" in said("report", folder, code=3)
    assert "study serve" in said("export", folder, tmp_path / "a.csv", code=3)
    assert ".csv" in said("export", folder, tmp_path / "a.txt", code=3)
    assert "no folder" in said("export", folder, tmp_path / "none" / "a.csv", code=3)
    assert "no such folder" in said("serve", tmp_path / "none", code=3)
    assert "--port" in said("serve", folder, "--port", "-1", code=3)
    for seed in (-1, 2**63):
        assert f"--seed {seed}" in said("serve", folder, f"--seed={seed}", code=3)
    (folder / FILE).write_bytes(b"nonsense" * 1000)
    assert "damaged" in said("report", folder, code=3)
    said("sing", code=2)


def test_help(said):
    assert "blinded" in said("--help")
    assert "0.0.0.0" in said("serve", "--help")
