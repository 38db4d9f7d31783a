"""The motion generator: chunks do not show, it sees as far as it says, its prior can be undone, its file is checked."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from likeness.audio import Hearing
from likeness.displacement import MIRROR_68, mirrored
from likeness.errors import BadInput, Refused
from likeness.nn.generator import Generator, asset, preset
from likeness.nn.generator.hearing import columns
from likeness.nn.generator.layers import trim
from likeness.nn.generator.noise import noise
from tests.nn.generator.people import PAPER, features, tiny, woken

FRAMES = 60
KINDS = {"stride 1": tiny(), "stride 2": tiny(stride=2), "stride 4": tiny(stride=4, pitch="bins"), "paper": PAPER}


def whole(generator: Generator, rows: torch.Tensor, first: int = 0, last: int = FRAMES, **more) -> torch.Tensor:
    stretch = generator.hearing.window(rows, first, last)
    return generator.moves(stretch, rows.mean(0), rows.std(0), start=first, **more)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8, deadline=None)
@given(
    cuts=st.sets(st.integers(1, FRAMES - 1), max_size=6),
    temperature=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 2**64 - 1),
)
def test_chunks_do_not_show(kind, cuts, temperature, seed):
    generator = woken(KINDS[kind])
    rows = features(FRAMES, generator.settings)
    edges = [0, *sorted(cuts), FRAMES]
    parts = [whole(generator, rows, a, b, temperature=temperature, seed=seed) for a, b in pairwise(edges)]
    once = whole(generator, rows, temperature=temperature, seed=seed)
    assert once.shape == (FRAMES, 68, 3) and once.std() > 1e-3
    assert torch.allclose(torch.cat(parts), once, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_it_sees_as_far_as_it_says_and_no_farther(kind):
    """Within a latent frames see differently far: over all of them, the outermost frame counts at both ends."""
    generator = woken(KINDS[kind])
    hearing, stride = generator.hearing, generator.settings.stride
    rows = features(hearing.past + stride + hearing.future, generator.settings)
    heard = columns(rows, rows.mean(0), rows.std(0), generator.settings)[None].requires_grad_()
    reached = []
    for t in range(stride):
        (gradient,) = torch.autograd.grad(generator._perform(heard, 0, 0.0, 0)[0, t].sum(), heard)
        seen = gradient[0].abs().sum(1).nonzero()[:, 0] - hearing.past - t
        reached.append((int(seen[0]), int(seen[-1])))
    assert min(first for first, _ in reached) == -hearing.past
    assert max(last for _, last in reached) == hearing.future


def test_every_row_counts():
    """In GeneFace the odd ones had no influence."""
    generator = woken(tiny(pitch="bins"))
    rows = features(generator.hearing.past + 1 + generator.hearing.future, generator.settings)
    mean, std = rows.mean(0), rows.std(0)
    usual = generator.moves(rows, mean, std)
    for row in range(4 * generator.hearing.past, 4 * generator.hearing.past + 4):
        changed = rows.clone()
        changed[row] = features(1, generator.settings, 7)[0]
        assert (generator.moves(changed, mean, std) - usual).abs().max() > 1e-7


def test_the_look_ahead_is_stated_and_small():
    assert Generator(preset("fast")).hearing.future <= 4
    assert Generator(preset("paper")).hearing.future > 50  # 2.6 s and more, by way of the prior


def test_a_seed_is_a_motion():
    generator = woken(tiny(stride=4))
    rows = features(FRAMES, generator.settings)
    one, again, two = (whole(generator, rows, temperature=1.0, seed=s) for s in (1, 1, 2))
    assert torch.equal(one, again)
    assert (one - two).abs().max() > 1e-3
    assert torch.equal(whole(generator, rows, seed=1), whole(generator, rows, seed=2))  # at 0 there is no noise


@given(first=st.integers(-300, 300), count=st.integers(1, 200), cut=st.integers(0, 199))
def test_noise_hangs_on_its_place_alone(first, count, cut):
    cut = min(cut, count - 1)
    drawn = noise(5, first, first + count, 3)
    assert drawn.shape == (3, count)
    assert torch.equal(drawn[:, cut:], noise(5, first + cut, first + count, 3))


def test_noise_is_white():
    drawn = noise(0, -5000, 5000, 4)
    assert abs(float(drawn.mean())) < 0.03 and abs(float(drawn.std()) - 1) < 0.02
    assert np.abs(np.corrcoef(drawn[:, 1:].numpy(), drawn[:, :-1].numpy())[:4, 4:]).max() < 0.05


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_prior_can_be_undone(kind, seed):
    flow = woken(KINDS[kind], seed).prior
    torch.manual_seed(seed)
    latents = 2 * sum(flow.reach) + 8
    z = torch.randn(2, KINDS[kind].latent, latents)
    condition = torch.randn(2, flow.couplings[0].stack.heard.in_channels, latents)
    with torch.no_grad():
        white = flow.noise(z, condition)
        again = flow.latents(white, trim(trim(condition, flow.reach), flow.first))
    assert (white - trim(z, flow.reach)).abs().max() > 1e-3
    assert torch.allclose(again, trim(trim(z, flow.reach), flow.reach), atol=1e-4)


def test_what_does_not_fit_is_said():
    generator = woken(tiny())
    rows = features(generator.hearing.past + generator.hearing.future, generator.settings)
    with pytest.raises(BadInput, match=r"hears mel \+ phones \+ pitch"):
        generator.moves(rows, rows.mean(0), rows.std(0))
    with pytest.raises(BadInput, match="each once"):
        Generator(replace(tiny(), features=("phones", "phones")))
    with pytest.raises(BadInput, match="no preset 'slow'"):
        preset("slow")


def test_a_mirror_undoes_itself():
    assert sorted(MIRROR_68) == list(range(68))
    faces = np.random.default_rng(0).normal(size=(3, 68, 3)).astype(np.float32)
    assert np.array_equal(mirrored(mirrored(faces)), faces)
    from likeness import mesh
    from likeness.displacement import POINTS_68
    from likeness.prepare.generic_face import generic_face

    face = generic_face()[list(POINTS_68)]
    assert np.linalg.norm(mirrored(face) - face, axis=-1).max() < 0.3 * np.linalg.norm(face[36] - face[45])
    assert len(mesh.SKULL)


def test_a_file_gives_the_same_generator(tmp_path):
    generator = woken(tiny(stride=2))
    rows = features(FRAMES, generator.settings)
    path = asset.save(tmp_path / "motion.safetensors", generator, {"hours": 0.1})
    again = asset.load(path)
    assert again.settings == generator.settings and again.hearing == generator.hearing
    assert isinstance(again.hearing, Hearing)
    assert torch.equal(whole(generator, rows, temperature=0.5, seed=3), whole(again, rows, temperature=0.5, seed=3))


def rewritten(path, out, header=lambda held: held, tensors=lambda held: held):
    with safe_open(path, framework="pt") as file:
        held = json.loads(file.metadata()["likeness"])
        kept = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors(kept), out, {"likeness": json.dumps(header(held))})
    return out


def test_files_that_do_not_fit_are_refused(tmp_path):
    path = asset.save(tmp_path / "motion.safetensors", woken(tiny()), {})
    out = tmp_path / "other.safetensors"
    with pytest.raises(BadInput, match="likeness pretrain geneface"):
        asset.load(out)
    out.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadInput, match="cut short"):
        asset.load(out)
    out.write_bytes(b"nothing")
    with pytest.raises(BadInput, match="cut short"):
        asset.load(out)
    save_file({"x": torch.zeros(1)}, out)
    with pytest.raises(BadInput, match="not a motion generator"):
        asset.load(out)
    for changes, kind, words in (
        ({"version": 99}, Refused, "version 99"),
        ({"displacement": "inches"}, Refused, "other terms"),
        ({"more": 1}, BadInput, "lacks or adds"),
        ({"hearing": {}}, Refused, "another recipe"),
        ({"settings": {"width": 1 << 40}}, BadInput, "settings are not those"),
        # Where types are checked, as here, they are not even read.
        ({"settings": asdict(tiny()) | {"width": 7.5}}, BadInput, "make no generator|cannot be read"),
        ({"settings": asdict(tiny()) | {"norm": "group"}}, BadInput, "make no generator|cannot be read"),
    ):
        with pytest.raises(kind, match=words):
            asset.load(rewritten(path, out, header=lambda held: held | changes))
    huge = {"width": 1 << 20, "posterior_layers": 3}
    with pytest.raises(BadInput, match="do not fit its header"):
        asset.load(rewritten(path, out, header=lambda held: held | {"settings": held["settings"] | huge}))
    with pytest.raises(BadInput, match="holds no numbers"):
        asset.load(rewritten(path, out, tensors=lambda held: {n: t * float("nan") for n, t in held.items()}))
