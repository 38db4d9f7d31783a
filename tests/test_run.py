"""A training run: whatever ends it, it goes on exactly as it would have."""

import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from likeness.errors import BadInput, Exhausted, Refused
from likeness.run import CHECKPOINT, Diverged, Run, optimiser_state, restore_optimiser

STEPS = 30


class Stop(Exception):
    pass


def fit(folder: Path, stop_at: int | None = None, pause_s: float = 0.0) -> torch.Tensor:
    """A tiny training: two stages with noise, stored after every step; stops by an exception at a step of the second."""
    with Run(folder, {"rate": 0.1}, seed=3, keep_every_s=0.0) as run:
        weight = torch.nn.Parameter(run.resumed.get("weight", torch.ones(4)).clone())
        optimiser = torch.optim.Adam([weight], lr=0.1)
        restore_optimiser(optimiser, run.resumed, "adam.")
        for stage in ("first", "second"):
            if run.done(stage):
                continue
            for step in run.steps(stage, STEPS):
                if stage == "second" and step == stop_at:
                    raise Stop
                time.sleep(pause_s)
                target = torch.from_numpy(run.generator(step).standard_normal(4)).float()
                loss = (weight - target).square().sum()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                run.log(loss=loss.detach())
                run.keep(lambda: {"weight": weight, **optimiser_state(optimiser, "adam.")})
            run.finish({"weight": weight, **optimiser_state(optimiser, "adam.")})
        return run.resumed["weight"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> torch.Tensor:
    return fit(tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("stop_at", [0, 1, 17])
def test_an_interrupted_run_ends_bit_for_bit_like_a_whole_one(tmp_path, whole, stop_at):
    with pytest.raises(Stop):
        fit(tmp_path / "run", stop_at)
    assert torch.equal(fit(tmp_path / "run"), whole)


def test_a_killed_process_ends_bit_for_bit_like_a_whole_one(tmp_path, whole):
    code = f"from pathlib import Path\nfrom tests.test_run import fit\nfit(Path({str(tmp_path)!r}) / 'run', pause_s=0.05)"
    child = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[1])
    log, deadline = tmp_path / "run" / "log.jsonl", time.monotonic() + 60
    while not (log.exists() and log.read_bytes().count(b'"second"') >= 2):
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not log.read_bytes().count(b'"second"') >= STEPS
    assert torch.equal(fit(tmp_path / "run"), whole)


def test_two_runs_at_once_are_refused_and_the_first_goes_on(tmp_path, whole):
    pytest.importorskip("fcntl")
    with Run(tmp_path / "run", {"rate": 0.1}, seed=3) as run:
        next(run.steps("first", 2))
        with pytest.raises(Refused, match="another training is at work"):
            Run(tmp_path / "run", {"rate": 0.1}, seed=3)
        run.log(loss=1.0)
    (tmp_path / "run" / "log.jsonl").unlink()
    assert torch.equal(fit(tmp_path / "run"), whole)  # nothing was kept, and the lock is free


def test_a_run_that_cannot_begin_holds_no_lock(tmp_path):
    fit(tmp_path / "run")
    with pytest.raises(Refused, match="other settings") as caught:
        Run(tmp_path / "run", {"rate": 0.2}, seed=3)
    assert caught.tb is not None  # the failed run still lives in the traceback
    fit(tmp_path / "run")


def test_a_finished_run_does_nothing_again(tmp_path, whole):
    fit(tmp_path / "run")
    before = (tmp_path / "run" / CHECKPOINT).stat().st_mtime_ns
    assert torch.equal(fit(tmp_path / "run"), whole)
    assert (tmp_path / "run" / CHECKPOINT).stat().st_mtime_ns == before


def test_random_numbers_are_of_seed_stage_and_step_alone(tmp_path):
    def drawn(folder: str, seed: int, stage: str, step: int) -> float:
        with Run(tmp_path / folder, {}, seed) as run:
            list(run.steps(stage, 1))
            return float(run.generator(step).standard_normal())

    assert drawn("a", 1, "head", 5) == drawn("b", 1, "head", 5)
    assert len({drawn("c", s, g, t) for s in (0, 1) for g in ("head", "voice") for t in (0, 1)}) == 8


def test_not_a_number_stops_it_and_the_checkpoint_stays_sound(tmp_path):
    with Run(tmp_path, {}, keep_every_s=0.0) as run:
        steps = run.steps("head", 10)
        next(steps)
        run.keep(lambda: {"weight": torch.ones(2)})
        next(steps)
        with pytest.raises(Diverged, match=r"head, step 1: loss is not a number\. Delete .*another --seed") as caught:
            run.log(loss=torch.tensor(math.nan), color=1.0)
        assert str(tmp_path) in str(caught.value) and caught.value.exit_code == 3
        with pytest.raises(Diverged, match="weight"):  # between two logged steps
            run.keep(lambda: {"weight": torch.tensor([1.0, math.inf])})
    with Run(tmp_path, {}) as run:
        assert torch.equal(run.resumed["weight"], torch.ones(2))
        assert next(run.steps("head", 10)) == 1


def test_other_settings_are_refused_and_nothing_is_lost(tmp_path):
    fit(tmp_path)
    before = (tmp_path / CHECKPOINT).read_bytes()
    with pytest.raises(Refused, match="other settings"):
        Run(tmp_path, {"rate": 0.2}, seed=3)
    assert (tmp_path / CHECKPOINT).read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"nonsense" * 9, None], ids=["empty", "foreign", "cut short"])
def test_a_damaged_checkpoint_is_explained(tmp_path, content):
    fit(tmp_path)
    path = tmp_path / CHECKPOINT
    path.write_bytes(path.read_bytes()[:-7] if content is None else content)
    with pytest.raises(BadInput, match=r"damaged checkpoint.*Delete"):
        Run(tmp_path, {"rate": 0.1}, seed=3)


def test_another_projects_file_in_its_place_is_explained(tmp_path):
    from safetensors.torch import save_file

    for metadata in (None, {"run": "[]"}, {"run": "{}"}):
        save_file({"weight": torch.ones(1)}, tmp_path / CHECKPOINT, metadata)
        with pytest.raises(BadInput, match="damaged checkpoint"):
            Run(tmp_path, {})


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    with Run(tmp_path, {}, keep_every_s=0.0) as run:
        next(steps := run.steps("head", 5))
        run.keep(lambda: {"weight": torch.ones(1)})
        next(steps)
        with monkeypatch.context() as patch:
            patch.setattr("likeness.files.os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
            with pytest.raises(Exhausted, match="full"):
                run.keep(lambda: {"weight": torch.zeros(1)})
    assert torch.equal(Run(tmp_path, {}).resumed["weight"], torch.ones(1))
    assert not list(tmp_path.glob("*.partial")) and not list(tmp_path.glob(".*.partial"))


def test_a_place_that_cannot_be_written_is_bad_input(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="cannot be written"):
        Run(tmp_path / "file" / "run", {})


def test_log_and_preview(tmp_path):
    with Run(tmp_path, {}, keep_every_s=0.0) as run:
        for step in run.steps("head", 3):
            run.log(loss=torch.tensor(float(step)), gaussians=7)
            run.keep(lambda: {}, lambda: np.zeros((4, 6, 3), np.uint8))
        run.finish({})
        (tmp_path / "pictures-8.raw").touch()
        run.clear("pictures-*.raw")
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(r["stage"], r["step"], r["loss"], r["gaussians"]) for r in rows] == [("head", t, float(t), 7.0) for t in range(3)]
    assert (tmp_path / "preview.png").stat().st_size > 0 and list(tmp_path.glob("events.*"))
    assert not (tmp_path / "pictures-8.raw").exists()
