"""A whole comparison of the drawn actor's small portraits: what is made, used again, said and refused."""

import csv
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import likeness
from likeness import audio, compare, methods
from likeness.cli import run
from likeness.compare import entries as measuring
from likeness.compare.entries import row_values
from likeness.compare.players import slug
from likeness.compare.portraits import Settings, portrait_of
from likeness.compare.report import as_html, maps_section
from likeness.compare.verdicts import checks_table
from likeness.errors import BadInput, Exhausted, Refused
from likeness.evaluate import evaluate
from likeness.evaluate.experts import Experts
from likeness.evaluate.finished import Showing
from likeness.evaluate.metrics import RECIPES
from likeness.evaluate.speaking import evaluate_speech
from likeness.nn.adaptation.speaker import Speaker
from likeness.nn.generator import Generator, asset
from likeness.nn.generator import Settings as Motions
from likeness.video import Writer, probe
from tests.takes import tiny, write

MOTION = Motions(features=("phones",), latent=4, condition=8, width=8, posterior_layers=1, decoder_layers=1, flows=0)
CHOSEN = ("rigged_gaussians", "talking_gaussian")
VOID = {"meta", "img", "input", "br", "link", "hr", "source"}


class Page(HTMLParser):
    """A page's elements; every one that is opened must be closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str, kind: str = "") -> list[dict[str, str | None]]:
        return [found for name, found in self.elements if name == tag and kind in ["", *(found.get("class") or "").split()]]


@pytest.fixture(scope="module")
def small():
    """The fast preset is the smallest one everywhere."""
    with pytest.MonkeyPatch.context() as patch:
        for name in methods.names():
            home = methods.get(name)
            config = tiny(home)

            def preset(name, size, seed, config=config):
                if name != "fast":
                    raise ValueError(f"there is no preset {name!r}")
                return replace(config, size=size, seed=seed)

            patch.setattr(home, "preset", preset)
        yield patch


@pytest.fixture(scope="module")
def out(portrait_files, tmp_path_factory):
    """A folder in which two portraits are finished."""
    folder = tmp_path_factory.mktemp("comparisons") / "out <b>"
    (folder / "portraits").mkdir(parents=True)
    for name in CHOSEN:
        made = portrait_files[name]
        there = folder / "portraits" / f"{name.replace('_', '-')}-fast-256-0.portrait"
        shutil.copy(made, there)
        shutil.copytree(made.with_name(made.name + ".run"), there.with_name(there.name + ".run"))
    return folder


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def found(clip, out, speech_file, small, said):
    """Two portraits that are there, and a method whose training fails; one more sound."""

    def fails(*_, **__):
        raise Exhausted("the disk <is> full.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(methods, "train", fails)
        wanted = [name.replace("_", "-") for name in ("radnerf", *CHOSEN)]
        return likeness.compare(clip, out, wanted, speech=speech_file, say=said.append)


@pytest.fixture(scope="module")
def page(found) -> Page:
    return Page(found.report.read_text())


def test_a_failure_stops_nothing_and_is_told(found, page, said):
    assert [entry.name for entry in found.entries] == ["rigged-gaussians", "talking-gaussian"]
    assert [(f.name, f.work, type(f.error)) for f in found.failures] == [("radnerf", "training", Exhausted)]
    assert "the disk <is> full." in page.text and "radnerf: failed" in "\n".join(said)
    with pytest.raises(Exhausted, match="radnerf: the disk"):
        found.must_be_whole()


def test_what_is_finished_is_used_again(found, said, portrait_files):
    assert sum("used again" in line for line in said) == 2
    for name, entry in zip(CHOSEN, found.entries):
        assert entry.portrait_bytes == portrait_files[name].stat().st_size and entry.training_s > 0


def test_figures_are_those_of_evaluate(found, clip, portrait_files):
    alone = evaluate(methods.load(portrait_files["rigged_gaussians"]), clip)
    assert row_values(found.entries[0].figures) == pytest.approx(row_values(alone["sound"]), nan_ok=True)
    assert found.entries[0].found.pictures == {}  # hundreds of megabytes are not held


def test_other_sounds_are_measured_too(found, page, clip, portrait_files, speech_file):
    key, row = f"speech-{slug(speech_file.stem)}", speech_file.stem
    alone = evaluate_speech(methods.load(portrait_files["rigged_gaussians"]), clip, [speech_file])
    lines = found.spoken[key]
    assert [line.name for line in lines] == ["rigged-gaussians", "talking-gaussian", "real, own sound"]
    assert lines[0].values == pytest.approx(row_values(alone[row]), nan_ok=True) and lines[0].values["mouth"] is None
    assert lines[-1].values["jitter"] == pytest.approx(alone["real"].jitter)
    made = json.loads((found.folder / "report.json").read_text())
    assert made["entries"][0]["speech"]["checks"][f"leak, {row}"]["passed"] in (True, False)
    table = list(csv.DictReader((found.folder / f"{key}.csv").open()))
    assert [held["name"] for held in table] == [line.name for line in lines]
    assert float(table[1]["loudness_r"]) == pytest.approx(lines[1].values["loudness_r"])
    text = (found.folder / f"{key}.tex").read_text()
    assert text.count("\\\\\n") == (2 + 3) * text.count("\\begin{tabular}")
    assert f"leak, {row}" in page.text and "real, own sound" in page.text
    assert all(entry.spoken.pictures == {} for entry in found.entries)


def test_the_page_loads_nothing(found, page):
    text = found.report.read_text()
    assert "http:" not in text and "https:" not in text and "url(" not in text and "@import" not in text
    for _, held in page.elements:
        for attribute in ("src", "href", "poster", "srcset", "data"):
            if attribute in held:
                assert held[attribute].startswith(("data:", "#")), held[attribute][:60]
    ids = {held["id"] for _, held in page.elements if "id" in held}
    assert {held["href"][1:] for held in page.all("a")} <= ids and page.all("a")
    assert "connect-src" not in text and "default-src 'none'" in text
    assert not page.all("link") and not any("src" in held for held in page.all("script"))


def test_what_the_page_shows(page, found, clip, speech_file):
    players = page.all("section", "player")
    assert [held["data-sound"] for held in players] == ["held-out", f"speech-{slug(speech_file.stem)}"]
    assert [held["data-frames"] for held in players] == [str(clip.test[-1] - clip.test[0] + 1), "58"]
    videos = page.all("video")
    assert len(videos) == 3 + 2  # real and two portraits; two portraits
    assert ["muted" in held for held in videos] == [False, True, True, False, True]
    assert len(page.all("svg", "chart")) == 2
    maps = [held for held in page.all("img") if "Error of" in (held["alt"] or "")]
    assert len(maps) == 2 and all(held["src"].startswith("data:image/png") for held in maps)
    assert len(page.all("td", "its")) >= 2
    references = page.all("tr", "reference")
    assert len(references) >= 5  # held still twice, nearest frame, real; again real below tracked lips
    for words in ("psnr-rgb8-frame-mean/1", "torch", "held still", "nearest training frame", "With tracked lips"):
        assert words in page.text


def test_videos_have_the_sound_and_the_length(found, clip):
    for entry in found.entries:
        for sound in found.sounds:
            video = probe(entry.films[sound.key])
            assert video.has_sound and video.frames == sound.frames and video.width == 256
    assert probe(found.real_film).frames == int(clip.test[-1] - clip.test[0]) + 1


def test_files_beside_the_page(found, out):
    told = json.loads((out / "report.json").read_text())
    assert told["format"] == "likeness-comparison" and [f["name"] for f in told["failures"]] == ["radnerf"]
    assert told["entries"][0]["evaluation"]["table"] and told["settings"] == {
        "preset": "fast",
        "size": 256,
        "seed": 0,
        "motion": "",
    }
    rows = list(csv.DictReader((out / "table.csv").open()))
    assert [row["ranked"] for row in rows] == ["yes"] * 2 + ["no"] * 4
    assert float(rows[0]["full"]) == found.entries[0].figures.full
    best = {row["name"] for row in rows if row["ranked"] == "yes"}
    assert {name for column in told["marks"].values() for name in column} <= best
    assert "\\bottomrule" in (out / "table.tex").read_text()
    assert not [path for path in out.rglob("*") if ".partial" in path.name]


def test_intervals_are_shown_where_there_are_any(found, clip):
    page = Page(as_html(changed(found, 0, intervals={"sound": {"full": [12.34, 56.78]}}), clip))
    assert "12.3 – 56.8" in page.text and "confidence interval" in page.text


def test_a_report_of_failures_alone(found, clip):
    page = Page(as_html(replace(found, entries=[], sounds=found.sounds), clip))
    assert "the disk <is> full." in page.text and not page.all("tr", "reference")


def changed(found, place: int, **evaluated):
    """The comparison with something else in the evaluation of one entry, which is a video now."""
    entries = list(found.entries)
    entry = entries[place]
    entries[place] = replace(entry, name="theirs", found=replace(entry.found, **evaluated))
    return replace(found, entries=entries)


def facts(page_text: str) -> dict[str, str]:
    """The tables of facts, by name."""
    return dict(re.findall(r'<tr><th scope="row">([^<]*)</th><td>(?:<code>)?([^<]*)', page_text))


def test_recipes_and_absences_are_told_with_whose_they_are(found, clip):
    its = found.entries[1].found
    recipes = {**its.recipes, "pictures": "decoded-h264/1", "sync": "another"}
    again = changed(found, 1, recipes=recipes, missing={**its.missing, "loudness": "theirs.mp4 has no sound."})
    text = as_html(again, clip)
    told = facts(text)
    assert told["pictures (rigged-gaussians)"] == RECIPES["pictures"] and told["pictures (theirs)"] == "decoded-h264/1"
    assert told["psnr"] == RECIPES["psnr"] and "sync" not in told  # weights are not in place, so nothing shows it
    assert told["loudness, not measured (theirs)"] == "theirs.mp4 has no sound."
    assert told["lpips, not measured"] == its.missing["lpips"].replace("'", "&#x27;")
    assert {
        mark for column in again.marks.values() for mark in column
    } == set()  # an encoding smooths: not ranked with raw ones
    assert {mark for column in found.marks.values() for mark in column.values()} == {"best", "second"}
    assert "Not all can be ranked" in text and "Not all can be ranked" not in as_html(found, clip)


def test_other_sounds_carry_their_own_recipes_and_absences(found, clip):
    text = found.report.read_text()
    sounds = text[text.index('id="other-sounds"') : text.index('id="side-by-side"')]
    assert re.findall(r'title="(warping[^"]*)"', sounds) == [RECIPES["flicker, own flow"]]
    assert re.findall(r'title="(warping[^"]*)"', text[: text.index('id="other-sounds"')])[0] == RECIPES["flicker"]
    told = facts(text[text.index("Recipes, other sounds") :])
    assert told["flicker"] == RECIPES["flicker, own flow"] and "psnr" not in told
    assert "sync, not measured" in told
    entry = found.entries[0]
    silent = replace(entry, spoken=replace(entry.spoken, missing={"loudness": "no <ears>."}))
    text = as_html(replace(found, entries=[silent, *found.entries[1:]]), clip)
    assert "loudness, not measured (rigged-gaussians)</th><td>no &lt;ears&gt;." in text


def test_each_kind_of_pictures_has_its_own_references(found):
    its = found.entries[1].found
    for evaluated in ({"size": 128}, {"frames": its.frames[:-2]}, {"recipes": {**its.recipes, "pictures": "decoded-h264/1"}}):
        lines = changed(found, 1, **evaluated, real_jitter=9.0).lines
        assert [line.row for line in lines] == ["sound", "static", "nearest frame", "real"] * 2
        assert len({line.name for line in lines}) == 8
        assert {line.terms for line in lines[:4]}.isdisjoint({line.terms for line in lines[4:]})
        assert lines[4].frames == len(evaluated.get("frames", its.frames))


def test_the_summary_is_of_few_named_figures(page, found):
    text = found.report.read_text()
    summary = text[text.index("<header>") : text.index("<nav>")]
    assert summary.count("<table>") == 1 and "columns" not in summary
    for words in ("PSNR, own torso", "LMD", "opening, r", "jitter", "whole picture"):
        assert words in summary


def test_checks_are_told_with_their_numbers(found):
    text = found.report.read_text()
    checks = found.entries[0].found.checks
    low, high = checks["leak"]["r_leak_interval"]
    assert f"r = {checks['leak']['r_leak']:.2f} ({low:.2f} – {high:.2f})" in text
    low, high = checks["mismatched sound"]["mouth_db_interval"]
    assert f"mouth {checks['mismatched sound']['mouth_db']:.1f} dB ({low:.1f} – {high:.1f})" in text
    table = checks_table({0: ("a", {"leak": {"passed": None, "r_leak": 0.1}}), 1: ("b", {"other": {"passed": False}})})
    assert "<td>cannot tell<small>r = 0.10</small></td>" in table and "<strong>failed</strong>" in table
    assert "Leak:" in table and "Mismatched" not in table  # only what is there is explained
    assert checks_table({0: ("a", {})}) == ""


def test_perfect_entries_have_black_maps(found, clip):
    none = {"values": np.zeros_like(found.entries[0].errors.values)}
    perfect = [replace(entry, errors=replace(entry.errors, **none)) for entry in found.entries]
    assert "<span>1 and more</span>" in maps_section(replace(found, entries=perfect), clip)


def test_a_generator_of_motion_belongs_to_what_is_used_again(clip, out, small, portrait, portrait_file, tmp_path, monkeypatch):
    """A portrait that moves by itself, or by another generator, is not the one that was asked for."""
    trained = []

    def train(clip, path, method, preset, size, seed, motion):
        trained.append(motion)
        return portrait

    def save(place: Path, seed: int) -> str:
        torch.manual_seed(seed)
        motion = asset.load(asset.save(tmp_path / f"{seed}.safetensors", Generator(MOTION), {}))
        made = methods.load(portrait_file)
        made.voice = Speaker(made.voice, motion, 20, {"own": "voice", "other": "both"})
        made.hearing = made.voice.hearing
        made.save(place)
        return motion.origin

    monkeypatch.setattr(methods, "train", train)
    origin = save(tmp_path / "a.portrait", 0)
    settings, motion = Settings(motion=origin), tmp_path / "0.safetensors"
    place = tmp_path / settings.file(CHOSEN[0])
    assert place.name == f"rigged-gaussians-fast-256-0-{origin}.portrait"
    shutil.copy(tmp_path / "a.portrait", place)
    portrait_of(clip, tmp_path, CHOSEN[0], settings, motion, lambda _: None)
    assert trained == []
    save(place, 1)
    portrait_of(clip, tmp_path, CHOSEN[0], settings, motion, lambda _: None)
    shutil.copy(portrait_file, place)
    portrait_of(clip, tmp_path, CHOSEN[0], settings, motion, lambda _: None)
    assert trained == [motion, motion]


def test_the_page_names_the_generator_of_motion(found, page, clip):
    assert "generator of motion" not in page.text
    moved = replace(found, settings=replace(found.settings, motion="0123abcd"))
    assert "with the generator of motion 0123abcd" in as_html(moved, clip)


def test_other_settings_or_another_clip_are_trained_again(clip, out, small, portrait, monkeypatch):
    trained = []

    def train(clip, path, method, preset, size, seed, motion):
        trained.append((method, seed))
        return portrait

    monkeypatch.setattr(methods, "train", train)
    folder, path = out / "portraits", out / "portraits" / "rigged-gaussians-fast-256-0.portrait"
    portrait_of(clip, folder, CHOSEN[0], Settings(), None, lambda _: None)
    assert trained == []
    other = folder / "rigged-gaussians-fast-256-1.portrait"
    shutil.copy(path, other)
    portrait_of(clip, folder, CHOSEN[0], Settings(seed=1), None, lambda _: None)  # the file says seed 0
    assert trained == [(CHOSEN[0], 1)]
    other.unlink()
    moved = type(clip)(clip.folder, clip.header)
    moved.motion.pose[3, 0, 3] += 0.01
    portrait_of(moved, folder, CHOSEN[0], Settings(), None, lambda _: None)
    assert trained[1:] == [(CHOSEN[0], 0)]
    lines = []
    kept = path.read_bytes()
    path.write_bytes(kept[: len(kept) // 2])
    portrait_of(clip, folder, CHOSEN[0], Settings(), None, lines.append)
    path.write_bytes(kept)
    assert trained[2:] == [(CHOSEN[0], 0)] and "trained again" in lines[0]


# ---- finished videos of other systems


def test_finished_videos_are_entries(clip, out, small, take, tmp_path, capsys):
    """The clip's own pictures cannot be beaten; once encoded, they are not ranked with raw ones."""
    there, raw = tmp_path / "out", tmp_path / "raw"
    shutil.copytree(out / "portraits", there / "portraits")
    raw.mkdir()
    pictures = [clip.image(t, 256) for t in range(len(clip))]
    for t, image in enumerate(pictures):
        cv2.imwrite(str(raw / f"{t:04d}.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    encoded = write(tmp_path / "encoded.mp4", pictures, take.sound)
    words = ["compare", clip.folder, there, "--methods", "rigged-gaussians", "--json"]
    videos = ["--video", f"th<b>eirs={raw}", f"encoded={encoded}"]
    assert run([str(word) for word in [*words, *videos]]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(e["name"], e["kind"], e["row"]) for e in told["entries"]] == [
        ("rigged-gaussians", "portrait", "sound"), ("th<b>eirs", "video", "theirs"), ("encoded", "video", "theirs"),
    ]  # fmt: skip
    for column in ("full_own", "ssim_own", "lmd", "lower", "seam"):
        assert told["marks"][column] == {"th<b>eirs": "best", "rigged-gaussians": "second"}
    assert all("encoded" not in held for held in told["marks"].values())
    ours, theirs, _ = told["entries"]
    assert theirs["mean_error_by_region"]["lips"] < ours["mean_error_by_region"]["lips"] / 2
    assert np.corrcoef(theirs["opening_px"], ours["evaluation"]["curves"]["opening"])[0, 1] > 0.95
    rows = list(csv.DictReader((there / "table.csv").open()))
    assert [row["name"] for row in rows if row["driven by"] == "real"] == ["real (raw-frames/1)", "real (decoded-h264/1)"]
    assert {row["pictures"] for row in rows[-3:]} == {"decoded-h264/1"} and rows[-3]["name"] == "encoded"
    comments = [line for line in (there / "table.tex").read_text().splitlines() if line.startswith("%")]
    assert f"% encoded: 256 x 256, {len(clip.test)} frames, decoded-h264/1" in comments
    page = Page((there / "report.html").read_text())
    assert len(page.all("video")) == 4 and "th<b>eirs" in page.text and "one still frame" in page.text
    assert "pictures (encoded)" in page.text and "loudness, not measured (th<b>eirs)" in page.text
    assert not (there / "speech-speech.csv").exists()


def test_who_cannot_speak_is_compared_all_the_same(clip, out, small, speech_file, tmp_path, monkeypatch):
    """And experts are read once, before any training."""
    there, read, given = tmp_path / "out", [], []
    shutil.copytree(out / "portraits", there / "portraits")

    def fails(*_, experts, **__):
        given.append(experts)
        raise Exhausted("no <voice> left.")

    def in_place():
        read.append(Experts())
        return read[0]

    monkeypatch.setattr(measuring, "evaluate_speech", fails)
    monkeypatch.setattr(Experts, "in_place", staticmethod(in_place))
    found = compare(clip, there, ["rigged-gaussians"], speech=[speech_file])
    assert [entry.name for entry in found.entries] == ["rigged-gaussians"] and found.entries[0].spoken is None
    assert [(f.name, f.work) for f in found.failures] == [("rigged-gaussians", f"speaking {speech_file.stem}")]
    assert list(found.entries[0].films) == ["held-out"] and found.spoken == {}
    assert "no <voice> left." in Page(found.report.read_text()).text
    assert len(read) == 1 and given == read


# ---- what is refused before any work


def test_refusals(clip, take, small, tmp_path, actor_video, speech_file, capsys):
    there, brief = tmp_path / "new", tmp_path / "brief.wav"
    audio.save_wav(brief, audio.load(speech_file)[: 5 * audio.HOP])
    length = len(take.images)
    small_ones = [np.ascontiguousarray(image[:128]) for image in take.images]
    cut, wide = write(tmp_path / "cut.mp4", take.images[: length // 2], None), write(tmp_path / "wide.mp4", small_ones, None)
    with Writer(tmp_path / "fast.mp4", (256, 256), 30.0) as fast:
        for image in take.images:
            fast.write(image)
    cases = [
        (BadInput, {"methods": ["sing"]}),
        (BadInput, {"methods": []}),
        (BadInput, {"methods": ["radnerf", "radnerf"]}),
        (BadInput, {"preset": "paper"}),
        (BadInput, {"speech": [tmp_path / "none.wav"]}),
        (BadInput, {"speech": [speech_file, Path(shutil.copy(speech_file, tmp_path / speech_file.name))]}),
        (BadInput, {"speech": [brief]}),
        (BadInput, {"speech": str(brief)}),
        (BadInput, {"videos": {"theirs": tmp_path / "none.mp4"}}),
        (BadInput, {"videos": {"theirs": cut}}),
        (BadInput, {"videos": {"theirs": wide}}),
        (BadInput, {"videos": {"theirs": tmp_path / "fast.mp4"}}),
        (BadInput, {"videos": {"Real": actor_video}}),
        (BadInput, {"videos": {"Radnerf": actor_video}}),
    ]
    for kind, more in cases:
        with pytest.raises(kind):
            compare(clip, there, **more)
        assert not there.exists()
    with pytest.raises(Refused, match="holds a clip"):
        compare(clip, clip.folder)
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(Refused, match="another report"):
        compare(clip, tmp_path)
    with pytest.raises(BadInput, match="is a file"):
        compare(clip, speech_file)
    with pytest.raises(BadInput, match="brief"):  # one file by itself is not taken for its letters
        compare(clip, there, speech=str(brief))
    assert run(["compare", str(clip.folder), str(there), "--methods", "sing"]) == 3
    assert run(["compare", str(clip.folder), str(there), "--video", "nameless.mp4"]) == 3
    assert "Traceback" not in capsys.readouterr().err


def test_weights_that_are_something_else_are_refused_before_any_work(clip, small, tmp_path, monkeypatch):
    def damaged():
        raise BadInput("lpips/alex.pth: holds no weights.")

    monkeypatch.setattr(Experts, "in_place", staticmethod(damaged))
    with pytest.raises(BadInput, match="holds no weights"):
        compare(clip, tmp_path / "out", ["rigged-gaussians"])
    assert not (tmp_path / "out").exists()


def test_a_video_of_other_frames_is_refused_before_any_work(clip, small, actor_video, tmp_path, monkeypatch):
    """What others have learned from would be measured, and not be ranked with them."""
    early = Showing(actor_video, np.arange(int(clip.test[0]) + 9), 256, None, True, "decoded-h264/1", True)
    monkeypatch.setattr(measuring, "showing", lambda *_: early)
    with pytest.raises(BadInput, match="shows 9 of the frames"):
        compare(clip, tmp_path / "out", ["rigged-gaussians"], videos={"theirs": actor_video})
    assert not (tmp_path / "out").exists()


def test_the_exit_code_tells_of_a_failure(clip, out, small, monkeypatch, tmp_path, capsys):
    def fails(*_, **__):
        raise Exhausted("the disk is full.")

    monkeypatch.setattr(methods, "train", fails)
    there = tmp_path / "out"
    assert run(["compare", str(clip.folder), str(there), "--methods", "rigged-gaussians", "--json"]) == 6
    out, err = capsys.readouterr()
    assert json.loads(out)["failures"][0]["kind"] == "Exhausted" and "Traceback" not in err
    assert (there / "report.html").is_file()


def test_an_interruption_ends_everything(clip, small, monkeypatch, tmp_path):
    def interrupted(*_, **__):
        raise SystemError from KeyboardInterrupt()

    monkeypatch.setattr(methods, "train", interrupted)
    with pytest.raises(SystemError):
        compare(clip, tmp_path / "out", ["rigged-gaussians"])
    assert not (tmp_path / "out" / "report.html").exists()
