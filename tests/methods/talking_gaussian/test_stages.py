"""The stages of training: what each teaches and leaves alone, and that a run goes on exactly where it was."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from likeness.clip import PARTS
from likeness.methods.talking_gaussian import stages
from likeness.methods.talking_gaussian.config import Config
from likeness.methods.talking_gaussian.head import Head
from likeness.methods.talking_gaussian.lesson import GREEN
from likeness.methods.talking_gaussian.optimiser import Teacher
from likeness.methods.talking_gaussian.seed import seeds
from likeness.nn.pictures import Pictures
from likeness.rig import LIP_COEFFICIENTS
from tests.school import School, few, paper

STEPS = 100  # in which the fields learn a good part of the rig's motion
CONFIGS = {"motion": few(), "sound": paper()}
COLORS = {"face.base", "face.views", "face.opacity", "mouth.base", "mouth.views"}


class Watched:
    """A head that went through all stages, and what was seen of it after every step."""

    def __init__(self, school: School, config: Config, name: str) -> None:
        self.learned: set[str] = set()
        self.states: dict[str, list[dict[str, torch.Tensor]]] = {}
        self.began: dict[str, dict[str, torch.Tensor]] = {}
        step, watched = Teacher.step, self

        def watching(teacher: Teacher) -> None:
            for name, group in zip(teacher.names, teacher.optimiser.param_groups):
                gradient = group["params"][0].grad
                if gradient is not None and gradient.any():
                    watched.learned.add(name)
            step(teacher)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Teacher, "step", watching)
            for stage in ("train_face", "train_mouth", "fuse"):
                patch.setattr(f"likeness.methods.talking_gaussian.{stage}", self._around(stage, patch))
            self.head = school.head(config, name)

    def _around(self, stage: str, patch: pytest.MonkeyPatch):
        run = getattr(stages, stage)

        def around(head: Head, lesson) -> None:
            self.began[stage] = _copied(head)
            seen = self.states.setdefault(stage, [])
            keep = lesson.run.keep
            lesson.run.keep = lambda *args: seen.append(_copied(head)) or keep(*args)
            run(head, lesson)
            lesson.run.keep = keep

        return around


def _copied(head: Head) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in head.state_dict().items()}


@pytest.fixture(scope="module", params=CONFIGS)
def watched(request, school) -> tuple[Config, Watched, str]:
    name = f"whole-{request.param}"
    return CONFIGS[request.param], Watched(school, CONFIGS[request.param], name), name


# ---- what a stage teaches


def test_no_parameter_is_dead(watched):
    """Every parameter gets a gradient in some stage."""
    _, whole, _ = watched
    assert {name for name, _ in whole.head.named_parameters()} - whole.learned == set()


def test_all_stages_ran_with_finite_losses_and_gaussians_came(watched, school):
    config, whole, name = watched
    rows = school.log(name)
    ran = list(dict.fromkeys(row["stage"] for row in rows))
    assert ran == (["distil"] if config.distil_steps else []) + ["face", "mouth", "fusion"]
    assert all(math.isfinite(value) for row in rows for value in row.values() if not isinstance(value, str))
    counts = [len(state["face.xyz"]) for state in whole.states["train_face"]]
    assert len(set(counts)) > 1  # or no growing was tested
    assert all(p.isfinite().all() for p in whole.head.parameters())


def test_the_still_steps_leave_motion_alone(watched):
    config, whole, _ = watched
    for stage, motion, static in (
        ("train_face", "face_motion.", config.face_static_steps),
        ("train_mouth", "mouth_motion.", config.mouth_static_steps),
    ):
        before = whole.began[stage]
        for step, state in enumerate(whole.states[stage]):
            same = all(torch.equal(state[key], before[key]) for key in before if key.startswith(motion))
            assert same == (step < static), (stage, step)


def test_what_the_mouth_learns_leaves_the_face_as_it_was(watched):
    """Code of speech included: the face was taught with it, and moves by it."""
    _, whole, _ = watched
    before, after = whole.began["train_mouth"], whole.states["train_mouth"][-1]
    for key in before:
        if not key.startswith("mouth"):
            assert torch.equal(before[key], after[key]), key
    assert any(not torch.equal(before[key], after[key]) for key in before if key.startswith("mouth_motion"))


def test_frozen_fusion_moves_nothing_in_any_step(watched):
    config, whole, _ = watched
    before = whole.began["fuse"]
    assert len(whole.states["fuse"]) == config.fusion_steps
    for step, state in enumerate(whole.states["fuse"]):
        moved = {key for key in before if not torch.equal(state[key], before[key])}
        assert moved <= COLORS if not config.fusion_moves else moved > COLORS, step
    assert not config.fusion_moves or "code.0.weight" in moved


# ---- a run that is cut off


class Killed(BaseException):
    pass


def test_a_run_killed_in_every_stage_goes_on_with_identical_results(watched, school, monkeypatch):
    """Between the steps of distilling, of the still and the moving face, before and after growings, of mouth and fusion."""
    config, whole, name = watched
    face, mouth = config.distil_steps, config.distil_steps + config.face_static_steps + config.face_steps
    fusion = mouth + config.mouth_static_steps + config.mouth_steps
    deaths = {face - 2, face + 1, face + 3, face + 4, mouth, mouth + 3, fusion - 1, fusion, fusion + 2} - {-2}
    assert min(deaths) > 0 and len(deaths) >= 8
    taken, step = 0, Teacher.step

    def dying(teacher: Teacher) -> None:
        nonlocal taken
        if taken in deaths:
            deaths.remove(taken)
            raise Killed
        taken += 1
        step(teacher)

    with monkeypatch.context() as patch:
        patch.setattr(Teacher, "step", dying)
        while deaths:
            with pytest.raises(Killed):
                school.head(config, f"killed-{name}")
        resumed = school.head(config, f"killed-{name}")
    assert taken == fusion + config.fusion_steps  # no step was taken twice
    assert set(resumed.state_dict()) == set(whole.head.state_dict())
    for key, value in whole.head.state_dict().items():
        assert torch.equal(resumed.state_dict()[key], value), key


def test_what_a_run_leaves_is_safetensors_and_json(watched, school):
    *_, name = watched
    kinds = {path.suffix for path in (school.folder / name).iterdir() if "tfevents" not in path.name and path.name != "lock"}
    assert kinds == {".safetensors", ".jsonl", ".png"}


# ---- clips that lack something


class Bare(Pictures):
    """Pictures in which some parts were never found."""

    def __init__(self, pictures: Pictures, lost: tuple[str, ...], shift: float = 0.0) -> None:
        self.__dict__ = dict(pictures.__dict__)
        self._lost = [PARTS[name] for name in lost]
        self.pixels = pictures.pixels + shift

    def __getitem__(self, t):
        picture = super().__getitem__(t)
        parts = picture.parts.clone()
        for value in self._lost:
            parts[parts == value] = PARTS["face"]
        return replace(picture, parts=parts)

    def __del__(self) -> None:  # the file is not its own
        pass


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_neither_hair_nor_mouth_is_needed(school, config, monkeypatch):
    """A bald head whose mouth never opens, or parsing that failed: no empty mean, no crop of nothing."""
    config = replace(config, attention_every=1, hair_apart=1 if config.hair_apart == 1 else 3)
    bald = copy.copy(school)
    bald.pictures = Bare(school.pictures, ("hair", "mouth"))
    shown = school.clip.parts
    monkeypatch.setattr(school.clip, "parts", lambda t: np.where(np.isin(shown(t), (4, 5)), PARTS["face"], shown(t)))
    name = f"bald-{config.conditioning}"
    head = bald.head(config, name)
    assert all(p.isfinite().all() for p in head.parameters())
    assert all(math.isfinite(v) for row in school.log(name) for v in row.values() if not isinstance(v, str))


@pytest.mark.parametrize("shift", [-70.0, 70.0, 1000.0])
def test_lips_at_the_border_or_beyond_it_are_no_reason_to_stop(school, shift):
    """The box round the lips is kept within the crop, and what is cut out round it is large enough to be compared."""
    config = few(mouth_static_steps=1, mouth_steps=3, face_static_steps=1, face_steps=3, polish=(0.5, 0.5), attention_every=1)
    pictures = Bare(school.pictures, (), shift)
    with school.run(f"shifted{shift:.0f}") as run:
        lesson = school.lesson(config, run, pictures)
        for t in school.frames[:3]:
            box = lesson.box(pictures[t], t)
            assert box.shape == pictures[t].head.shape and box.any() == (shift < 100)
            window, camera = stages._round(box, stages.MOUTH_MARGIN, pictures[t])
            width, height = camera.size
            assert pictures[t].head[window].shape == (height, width) and min(width, height) >= 32
        head = school.begun(config)
        stages.train_face(head, lesson)
        stages.train_mouth(head, lesson)
    assert all(p.isfinite().all() for p in head.parameters())


def test_lip_pixels_before_the_mouth_teach_it_nothing(school, monkeypatch):
    """What is in the box round the lips but not inside the mouth is overwritten: it carries no gradient."""
    config = few(mouth_static_steps=1, mouth_steps=1, grow_every=100, polish=(0.0, 0.0))
    widest = max(school.frames, key=lambda t: int((school.pictures[t].parts == PARTS["mouth"]).sum()))
    drawings = []
    with school.run("lips") as run:
        lesson = school.lesson(config, run)
        structure = lesson.structure
        monkeypatch.setattr(lesson, "structure", lambda drawn, real: drawings.append((drawn, real)) or structure(drawn, real))
        monkeypatch.setattr(lesson.curriculum, "mouth", lambda *_: np.array([widest]))
        stages.train_mouth(school.begun(config), lesson)
        picture = lesson.pictures[widest]
        box = lesson.box(picture, widest)
        window, _ = stages._round(box, stages.MOUTH_MARGIN, picture)
    lips = (box & (picture.parts != PARTS["mouth"]))[window]
    for drawn, real in drawings:
        assert torch.equal(drawn[lips], real[lips]) and not torch.equal(drawn[~lips], real[~lips])
        assert (real[lips] == torch.tensor(GREEN)).all()


# ---- learning


def test_losses_fall(school):
    """Sixty steps of the face are enough to see it."""
    config = few(distil_steps=0, face_static_steps=30, face_steps=30, density=0.1)
    head = school.begun(config)
    with school.run("falls") as run:
        stages.train_face(head, school.lesson(config, run))
    rows = [row["loss"] for row in school.log("falls")]
    assert sum(rows[-5:]) < 0.8 * sum(rows[:5])


def test_distilled_motion_is_the_rigs(school):
    """The fields come nearer to how the rig moves the Gaussians than standing still."""
    config = few(distil_steps=STEPS, grid_rate=2e-2, network_rate=4e-3)
    head = school.begun(config)
    pair = seeds(school.clip, school.rig, school.frames, config)
    with school.run("distilled") as run:
        lesson = school.lesson(config, run)
        stages.distil(head, pair, lesson)
    rows = school.rig.clip(lesson.cond[torch.from_numpy(school.frames)])
    wanted = pair[0].displacement(school.rig, rows)
    with torch.no_grad():
        places = head.places()
        moved = [
            head.move(places, lesson.code(head, t, row), row[LIP_COEFFICIENTS:]).face.xyz for t, row in zip(school.frames, rows)
        ]
    share = (torch.stack(moved) - wanted).square().mean() / wanted.square().mean()
    assert share < 0.5
