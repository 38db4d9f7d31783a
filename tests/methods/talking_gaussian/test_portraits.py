"""Whole portraits: every variant trains, is saved, loaded, and speaks."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from likeness import methods, speech
from likeness.audio import HOP, load
from likeness.cli import run
from likeness.errors import BadInput, MissingAsset, Refused
from likeness.methods import talking_gaussian
from likeness.methods.talking_gaussian import Model
from likeness.methods.talking_gaussian.config import Config
from likeness.nn.pictures import Pictures
from likeness.nn.torso import Torso
from likeness.portrait import Heard, read_header
from likeness.run import Run
from likeness.video import read
from tests.school import School, few, paper

VARIANTS = {
    "no mouth of its own": few(decompose=False),
    "any order": few(incremental=False),
    "colour speaks": few(speaks_in_color=True),
    "colour speaks, no mouth": few(speaks_in_color=True, decompose=False),
    "no hook": few(hook=False),
    "frozen fusion": few(fusion_moves=False),
    "sound with a hook": few(conditioning="sound", hook=True, distil_steps=2),
    "published": paper(),
}


def finished(school: School, speaker: Model, config: Config, name: str) -> Model:
    """A portrait of a head that went through all stages, on the stage and with the voice of another."""
    head = school.head(config, name)
    voice = speaker.voice if config.conditioning == "motion" else None
    hears = speaker.hearing if voice is not None else talking_gaussian.hearing(config.features)
    model = Model(config, hears, head, voice)
    model.rig, model.stage = speaker.rig, speaker.stage
    return model.eval()


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_train_are_saved_loaded_and_drawn(school, speaker, tmp_path, name):
    config = VARIANTS[name]
    model = finished(school, speaker, config, name)
    again = methods.load(model.save(tmp_path / "a.portrait"))
    assert again.config == config
    rows = torch.from_numpy(np.concatenate([school.clip.features(n) for n in again.hearing.features], axis=1)).float()
    usual = speech.Statistics.of(rows)
    heard = Heard(again.hearing.window(rows, 30, 33), usual.mean, usual.std, torch.ones(3))
    cond, motion = again.listen(heard), school.clip.motion[30:33]
    assert torch.equal(cond, model.listen(heard)) and len(cond) == 3
    followed = again.follow(motion)
    assert (followed is None) == (config.conditioning == "sound")
    assert followed is None or followed.shape == cond.shape
    layer, _ = again.render(cond, motion)
    assert torch.equal(layer.rgb, model.render(cond, motion)[0].rgb)
    assert layer.rgb.isfinite().all() and float(layer.alpha.max()) > 0.01


def test_512(school, speaker, tmp_path):
    """Crops, boxes and windows scale."""
    large = School.__new__(School)
    large.__dict__ = school.__dict__ | {"frames": school.frames[:4]}
    large.pictures = Pictures(school.clip, large.frames, 512, tmp_path / "pictures.raw", 3.0)
    config = few(
        size=512, distil_steps=0, face_static_steps=1, face_steps=1, mouth_static_steps=1, mouth_steps=1, fusion_steps=1
    )
    head = large.head(config, "512")
    assert all(p.isfinite().all() for p in head.parameters())


def test_a_portrait_file_is_json_and_safetensors(portrait_files):
    path = portrait_files["talking_gaussian"]
    header = read_header(path)
    with safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["likeness"]) == header
        names = set(file.keys())
    assert not any("adam" in name or "growth" in name for name in names)  # nothing that only training needs
    model = methods.load(path)
    assert json.loads(json.dumps(asdict(model.config))) == header["config"]
    assert header["sizes"] == {"face": len(model.head.face), "mouth": len(model.head.mouth), "voice": len(model.voice)}


# ---- the command line


@pytest.fixture
def trained(school, speaker, clip, tmp_path, monkeypatch, capsys) -> Path:
    """The published variant by the command line, on a stage that is there already."""
    config = paper(face_steps=2, mouth_steps=2, fusion_steps=2)
    monkeypatch.setattr(talking_gaussian, "preset", lambda name, size, seed: replace(config, preset=name, seed=seed))
    monkeypatch.setattr(Torso, "fit", staticmethod(lambda *_: speaker.stage.torso))
    out = tmp_path / "a.portrait"
    assert run(["train", "talking-gaussian", str(clip.folder), str(out), "--preset", "paper", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["portrait"] == str(out)
    return out


def test_train_and_speak_longer_than_the_video(trained, speech_file, tmp_path, capsys):
    left = {path.name for path in trained.with_name("a.portrait.run").iterdir()}
    assert "log.jsonl" in left and not any(name.startswith(("pictures", "checkpoint")) for name in left)
    model = methods.load(trained)
    assert model.config.preset == "paper" and model.voice is None
    model.stage = replace(model.stage, motion=model.stage.motion[:20])  # 0.8 s, played forwards and backwards
    model.save(trained)
    out = tmp_path / "said.mp4"
    assert run(["speak", str(trained), str(speech_file), str(out), "--json"]) == 0
    frames = len(load(speech_file)) / HOP
    assert json.loads(capsys.readouterr().out)["frames"] == int(np.ceil(frames)) > 2 * 20
    assert len(load(out)) / HOP == pytest.approx(frames, abs=2)
    assert sum(1 for _ in read(out)) == int(np.ceil(frames))


def test_what_is_missing_is_said_before_the_training(clip, tmp_path):
    short = type(clip)(clip.folder, clip.header | {"scenes": [[0, 90]]})
    with pytest.raises(BadInput, match="81 training frames"):
        talking_gaussian.train(short, tmp_path / "a.portrait")
    with pytest.raises(MissingAsset, match="hubert"):  # made when first asked for, of weights that are not in place
        talking_gaussian.train(clip, tmp_path / "a.portrait", paper(features=("hubert",)))
    assert not list(tmp_path.iterdir())


def test_a_run_of_other_settings_is_not_gone_on_with(clip, tmp_path):
    with Run(tmp_path / "a.portrait.run", {"other": "settings"}) as other:
        list(other.steps("face", 1))
        other.finish({"head.face.xyz": torch.zeros(4, 3)})
    with pytest.raises(Refused, match="other settings"):
        talking_gaussian.train(clip, tmp_path / "a.portrait", few())
