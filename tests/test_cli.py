"""The command line: every kind of bad input gets one clear message and its exit code, and destroys nothing."""

import json
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from likeness import methods
from likeness.cli import run
from likeness.corpus.index import open_index
from likeness.nn.generator import settings as generator
from likeness.nn.sync import asset, expert
from likeness.prepare import prepare
from likeness.speak import Speech
from tests import talkers
from tests.nn.generator import people
from tests.takes import SIZE, tiny

SECONDS = 30.0  # "within seconds", on a machine that others use, too


@pytest.fixture
def fails(tmp_path, capsys):
    """Run a command that must fail with an exit code and a message, and change nothing in `tmp_path`."""

    def call(code: int, *words: object, says: str = "") -> str:
        before = contents(tmp_path)
        began = time.monotonic()
        capsys.readouterr()
        assert run([str(word) for word in words]) == code
        out, err = capsys.readouterr()
        assert time.monotonic() - began < SECONDS
        assert "Traceback" not in err and out == ""
        if code not in (2,):
            assert err.startswith("likeness: ") and err.count("likeness: ") == 1 and len(err.strip().splitlines()) == 1
        assert says in err
        assert contents(tmp_path) == before
        return err

    return call


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b"" for p in folder.rglob("*")}


# ---- what goes well


def test_speak_with_names_of_spaces_and_quotes(portrait_file, speech_file, tmp_path, capsys):
    portrait = shutil.copy(portrait_file, tmp_path / 'my "own" portrait\'s file.portrait')
    sound = shutil.copy(speech_file, tmp_path / "a 'quoted' sound $HOME.wav")
    out = tmp_path / 'out; rm -rf "x" é.mp4'
    assert run(["speak", str(portrait), str(sound), str(out), "--json", "--pose", "fixed", "--eyes", "0.9"]) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed) | {"frames": 58, "out": str(out)} == json.loads(printed) and printed.count("\n") == 1
    assert out.stat().st_size > 1000
    assert run(["speak", str(portrait), str(sound), str(out), "--eyes", "blinks", "--background", "#102030"]) == 0
    assert "58 frames" in capsys.readouterr().out  # a result may be made again


def test_prepare_that_has_nothing_to_do(clip, actor_video, capsys, tmp_path):
    assert run(["prepare", str(actor_video), str(clip.folder), "--size", str(SIZE), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["frames"] == len(clip) and "nothing to do" in err


def test_train_and_evaluate(clip, portrait_file, tmp_path, monkeypatch, capsys):
    home = methods.get(methods.DEFAULT)
    config = tiny(home)
    monkeypatch.setattr(home, "preset", lambda name, size, seed: config)
    out = tmp_path / "a.portrait"
    shutil.copytree(portrait_file.with_name(portrait_file.name + ".run"), tmp_path / "a.portrait.run")  # all but done
    assert run(["train", "rigged-gaussians", str(clip.folder), str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["portrait"] == str(out)
    assert out.read_bytes() == portrait_file.read_bytes()
    assert run(["evaluate", str(out), str(clip.folder), "--json"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1 and json.loads(printed)["table"][0]["row"] == "tracked"
    assert (tmp_path / "a.portrait.sheet.png").is_file()


def test_pretrain(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(expert.PRESETS, "small", expert.preset("small", steps=8, width=16, dim=8, stretches=3))
    monkeypatch.setitem(generator.PRESETS, "fast", people.tiny())
    corpus, out = str(talkers.corpus(tmp_path / "corpus", frames=120)), str(tmp_path / "sync.safetensors")
    assert run(["pretrain", "sync", corpus, out]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"{out}: learned in") and "\n  people 2, seconds 19.2\n" in text and "\n  shifted 25: auc 0." in text
    assert run(["pretrain", "sync", corpus, out, "--json"]) == 0  # finished: judged once more
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1 and json.loads(printed)["figures"] == asset.read_header(Path(out))["trial"]
    motion = str(tmp_path / "motion.safetensors")
    assert run(["pretrain", "geneface", corpus, motion]) == 0
    assert "\n  temperature 0: opening_r " in capsys.readouterr().out
    monkeypatch.setenv("RANK", "1")
    assert run(["pretrain", "geneface", corpus, motion, "--json"]) == 0
    assert capsys.readouterr().out == ""  # the first of several processes has said it


def test_export(portrait, portrait_file, tmp_path, capsys):
    out = tmp_path / "a head.ply"
    assert run(["export", str(portrait_file), str(out), "--json"]) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"out": str(out), "gaussians": len(portrait.gaussians)} and printed.count("\n") == 1
    average = out.read_bytes()
    assert run(["export", str(portrait_file), str(out), "--frame", "7", "--flat"]) == 0
    assert "Gaussians" in capsys.readouterr().out and len(out.read_bytes()) < len(average)


@pytest.mark.parametrize("as_json", [False, True])
def test_demo_tells_what_it_made(monkeypatch, capsys, tmp_path, as_json):
    from likeness import demo
    from likeness.evaluate import Evaluation

    silence = dict.fromkeys(("mean", "std", "ungated_mean", "real_mean"), 1.0)
    figures = Evaluation("a_method", 256, [3], {}, [], 0.5, {}, silence, {"render_fps": 9.0, "picture_fps": 8.0})
    made = demo.Made(tmp_path / "demo.mp4", tmp_path / "sheet.png", figures, {"speak_s": 1.5})
    monkeypatch.setattr(demo, "demo", lambda out, **_: made)
    assert run(["demo", "--out", str(tmp_path), *(["--json"] if as_json else [])]) == 0
    printed = capsys.readouterr().out
    if as_json:
        told = json.loads(printed)
        assert told["out"] == str(made.video) and told["figures"]["method"] == "a_method" and printed.count("\n") == 1
    else:
        assert "a_method" in printed and "seconds: speak 1.5" in printed


def test_animate_uses_what_exists(clip, actor_video, portrait_file, speech_file, tmp_path, capsys):
    work = tmp_path / "work"
    shutil.copytree(clip.folder, work / "clip")
    shutil.copy(portrait_file, work / "fast-256-7.portrait")
    out = tmp_path / "out.mp4"
    words = ["animate", actor_video, speech_file, out, "--work", work, "--seed", "7", "--blink-seed", "3", "--json"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("likeness.animate.prepare", lambda video, folder, **more: prepare(video, folder, size=SIZE, **more))
        assert run([str(word) for word in words]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 58 and out.is_file()


@pytest.mark.parametrize(
    ("words", "method"),
    [
        (["clip", "out.portrait"], "rigged-gaussians"),
        (["rigged-gaussians", "clip", "out.portrait"], "rigged-gaussians"),
        (["rigged_gaussians", "clip", "out.portrait", "--seed", "4"], "rigged_gaussians"),
        (["clip", "out.portrait", "--method", "another"], "another"),
    ],
)
def test_the_method_may_be_the_first_word(words, method, monkeypatch, capsys):
    called = {}
    monkeypatch.setattr(methods, "train", lambda clip, out, name, **more: called.update(c=clip, o=out, n=name, **more))
    assert run(["train", *words]) == 0
    assert called["c"] == Path("clip") and called["o"] == Path("out.portrait") and called["n"] == method
    assert called["size"] == 256 and called["seed"] == (4 if "--seed" in words else 0)


# ---- usage: 2


@pytest.mark.parametrize(
    "words",
    [["sing"], ["speak"], ["train", "a", "b", "c"], ["train", "a", "b", "--size", "300"], ["speak", "a", "b", "c", "--wrong"]],
)
def test_usage(fails, words):
    assert fails(2, *words)


def test_help_is_no_error(capsys):
    for words in (["--help"], ["speak", "--help"]):
        assert run(words) == 0
    assert "transparent" in capsys.readouterr().out


# ---- bad input: 3


def test_not_a_video(fails, tmp_path, portrait_file, speech_file):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is no video")
    fails(3, "prepare", tmp_path / "none.mp4", tmp_path / "clip", says="no such file")
    fails(3, "prepare", tmp_path / "empty.mp4", tmp_path / "clip", says="0 bytes")
    fails(3, "prepare", tmp_path / "text.mp4", tmp_path / "clip", says="text.mp4")
    fails(3, "prepare", speech_file, tmp_path / "clip", says="speech.wav")
    fails(3, "prepare", tmp_path, tmp_path / "clip", says="folder")
    fails(3, "animate", tmp_path / "text.mp4", speech_file, tmp_path / "out.mp4", says="text.mp4")


def test_not_a_sound(fails, tmp_path, portrait_file, actor_video):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("this is no sound")
    out = tmp_path / "out.mp4"
    for sound, says in (("none.wav", "no such file"), ("empty.wav", "0 bytes"), ("text.wav", "text.wav")):
        fails(3, "speak", portrait_file, tmp_path / sound, out, says=says)
        fails(3, "animate", actor_video, tmp_path / sound, out, says=says)  # at once, not after training


def test_what_only_radnerf_can_is_refused_before_training(fails, tmp_path, actor_video, speech_file):
    out = tmp_path / "out.mp4"
    fails(3, "animate", actor_video, speech_file, out, "--quick", says="quick")
    fails(3, "animate", actor_video, speech_file, out, "--appearance", "0", says="appearance")


def test_not_a_clip(fails, tmp_path, portrait_file, clip):
    (tmp_path / "folder").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "clip.json").write_text("{")
    out = tmp_path / "a.portrait"
    for command in (("train", "{}", out), ("evaluate", portrait_file, "{}", "--sheet", tmp_path / "sheet.png")):
        for name, says in (("none", "no such folder"), ("folder", "not a clip"), ("damaged", "clip.json")):
            fails(3, *(tmp_path / name if word == "{}" else word for word in command), says=says)
    fails(3, "train", portrait_file, out, says="a file, not a clip")
    fails(3, "train", clip.folder, out, "--method", "no-such-method", says="rigged_gaussians")
    for what in ("radnerf", "no-such-method"):
        fails(3, "pretrain", what, tmp_path / "folder", out, says=f"{what}: nothing of that name is learned over many people")
    for what in ("sync", "geneface"):
        fails(3, "pretrain", what, tmp_path / "folder", out, says="not a corpus")


def test_not_a_portrait(fails, tmp_path, portrait_file, speech_file, clip):
    short = tmp_path / "short.portrait"
    short.write_bytes(portrait_file.read_bytes()[:100_000])
    (tmp_path / "empty.portrait").touch()
    for path, says in (
        (short, "cut short"), (tmp_path / "empty.portrait", "cut short"), (speech_file, "not a portrait"),
        (tmp_path / "none.portrait", "no such portrait"), (clip.folder, "a folder"),
    ):  # fmt: skip
        fails(3, "speak", path, speech_file, tmp_path / "out.mp4", says=says)
    fails(3, "evaluate", short, clip.folder, says="cut short")
    fails(3, "export", short, tmp_path / "a.ply", says="cut short")


def test_no_export(fails, tmp_path, portrait_file, portrait):
    last = len(portrait.stage.motion) - 1
    for frame in (-1, last + 1):
        fails(3, "export", portrait_file, tmp_path / "a.ply", "--frame", frame, says=f"0 to {last}")
    fails(3, "export", portrait_file, tmp_path / "a.obj", says=".ply")
    fails(3, "export", portrait_file, tmp_path / "nowhere" / "a.ply", says="no folder")


def test_places_that_cannot_be_written_are_told_before_the_work(fails, tmp_path, portrait_file, speech_file, clip, actor_video):
    (tmp_path / "file").touch()
    nowhere, proc = tmp_path / "nowhere", Path("/proc")
    fails(3, "speak", portrait_file, speech_file, nowhere / "a.mp4", says="no folder")
    fails(3, "speak", portrait_file, speech_file, proc / "a.mp4", says="/proc/a.mp4")
    fails(3, "speak", portrait_file, speech_file, tmp_path / "a.xyz", says=".xyz")
    fails(3, "speak", portrait_file, speech_file, tmp_path / "file" / "a.mp4", says="no folder")
    fails(3, "train", clip.folder, nowhere / "a.portrait", says="no folder")
    fails(3, "train", clip.folder, proc / "a.portrait", says="/proc/a.portrait")
    fails(3, "train", clip.folder, tmp_path, says="is a folder")
    fails(3, "evaluate", portrait_file, clip.folder, "--sheet", nowhere / "a.png", says="no folder")
    fails(3, "animate", actor_video, speech_file, nowhere / "a.mp4", says="no folder")
    fails(
        3, "animate", actor_video, speech_file, tmp_path / "a.mp4", "--work", tmp_path / "file" / "w", says="cannot be written"
    )
    fails(3, "prepare", actor_video, tmp_path / "file", says="file is in the way")


def test_results_never_replace_what_they_are_made_from(fails, tmp_path, portrait_file, actor_video, clip):
    video = Path(shutil.copy(actor_video, tmp_path / "take.mp4"))
    fails(3, "speak", portrait_file, video, video, says="the speech itself")
    fails(3, "animate", video, actor_video, video, says="the video itself")
    fails(5, "train", clip.folder, video, says="not a portrait")
    corpus = talkers.corpus(tmp_path / "corpus", frames=60)
    open_index(corpus)  # made when first asked for
    fails(5, "pretrain", "sync", corpus, video, says="not a sync expert")
    fails(5, "pretrain", "geneface", corpus, video, says="not a motion generator")
    portrait = shutil.copy(portrait_file, tmp_path / "portrait.ply")
    fails(3, "export", portrait, portrait, says="the portrait itself")


# ---- missing asset 4, refused 5, full 6, interrupted 130


def test_missing_weights_are_named(fails, tmp_path, portrait_file, speech_file, monkeypatch):
    from safetensors.torch import load_file, save_file

    from likeness.portrait import read_header

    monkeypatch.setenv("LIKENESS_ASSETS", str(tmp_path / "assets"))
    header = read_header(portrait_file) | {"hearing": {"features": ["hubert"], "past": 4, "future": 2}}
    save_file(load_file(portrait_file), tmp_path / "a.portrait", {"likeness": json.dumps(header)})
    fails(4, "speak", tmp_path / "a.portrait", speech_file, tmp_path / "a.mp4", says="model.safetensors")
    corpus = talkers.corpus(tmp_path / "corpus", frames=60)
    open_index(corpus)  # made when first asked for
    fails(4, "pretrain", "geneface", corpus, tmp_path / "a", "--preset", "paper", says="likeness pretrain sync CORPUS/ FILE")


def test_other_versions_and_other_peoples_folders_are_refused(fails, tmp_path, clip, portrait_file, actor_video, speech_file):
    from safetensors.torch import load_file, save_file

    from likeness.portrait import read_header

    other = tmp_path / "clip"
    other.mkdir()
    (other / "clip.json").write_text(json.dumps(clip.header | {"version": 99}))
    fails(5, "train", other, tmp_path / "a.portrait", says="version 99")
    fails(5, "prepare", actor_video, other, says="holds other things")
    header = read_header(portrait_file) | {"version": 99}
    save_file(load_file(portrait_file), tmp_path / "b.portrait", {"likeness": json.dumps(header)})
    fails(5, "speak", tmp_path / "b.portrait", speech_file, tmp_path / "a.mp4", says="version 99")
    fails(5, "train", clip.folder, tmp_path / "b.portrait", says="version 99")  # nor is it written over
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "mine.png").touch()
    fails(5, "speak", portrait_file, speech_file, tmp_path / "pictures", says="not an empty folder")


def test_a_full_disk(fails, tmp_path, portrait_file, speech_file, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "a.mp4").write_bytes(b"an older video")
    with monkeypatch.context() as patch:
        patch.setattr("likeness.video.writer.os.replace", full)
        fails(6, "speak", portrait_file, speech_file, tmp_path / "a.mp4", says="disk is full")
    with monkeypatch.context() as patch:
        patch.setattr("likeness.listening.tempfile.TemporaryDirectory", full)
        fails(6, "speak", portrait_file, speech_file, tmp_path / "a.mp4", says="disk is full")


def test_a_disk_that_fills_up_for_real(tmp_path, portrait_file, speech_file):
    """A child that may write files of 40 kB at most, in its own process."""
    out = tmp_path / "a.mp4"
    child = subprocess.run(
        [
            sys.executable,
            "-c",
            "from likeness.cli import main; main()",
            "speak",
            str(portrait_file),
            str(speech_file),
            str(out),
        ],
        capture_output=True,
        text=True,
        timeout=200,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000)),
    )
    assert child.returncode == 6, child.stderr
    assert "full" in child.stderr and "Traceback" not in child.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")])
def test_out_of_memory(fails, tmp_path, portrait_file, speech_file, monkeypatch, error):
    def greedy(_: object):
        raise error

    monkeypatch.setattr(Speech, "__iter__", greedy)
    fails(6, "speak", portrait_file, speech_file, tmp_path / "a.mp4", says="out of memory")


@pytest.mark.parametrize("within_a_kernel", [False, True])
def test_interrupted(fails, tmp_path, portrait_file, speech_file, monkeypatch, within_a_kernel):
    def stopped(_: object):
        if within_a_kernel:  # as Numba's dispatcher tells it
            raise SystemError("returned a result with an exception set") from KeyboardInterrupt()
        raise KeyboardInterrupt

    (tmp_path / "a.mp4").write_bytes(b"an older video")
    monkeypatch.setattr(Speech, "__iter__", stopped)
    fails(130, "speak", portrait_file, speech_file, tmp_path / "a.mp4", says="interrupted")
