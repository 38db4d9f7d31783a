"""Wav2Lip's published sync expert: its sizes, its file, what it looks at and hears, and that lips can be trained by it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from likeness.audio import HOP, RATE
from likeness.errors import BadInput, MissingAsset
from likeness.nn.sync.pixels.published import PublishedLoss, Wav2LipExpert, heard_by, lower_halves
from likeness.nn.sync.pixels.wav2lip_mel import _bank, mel

BOX = torch.tensor([0.1, -0.06, 0.9, 0.9])
"""Of a face in its square, as the generic one lies."""


def expert_of(seed: int) -> Wav2LipExpert:
    torch.manual_seed(seed)
    return Wav2LipExpert().eval()


def published(expert: Wav2LipExpert) -> dict[str, Tensor]:
    """As its file calls them."""
    names = expert.names()
    counted = {"face_encoder.0.conv_block.1.num_batches_tracked": torch.tensor(7)}
    return {names[own]: value for own, value in expert.state_dict().items() if own in names} | counted


def stretch(frames: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Faces, the sound of them and of a frame more at both ends, boxes."""
    draw = torch.Generator().manual_seed(seed)
    made, sound = torch.rand(1, frames, 3, 128, 128, generator=draw), torch.randn(1, 4 * (frames + 2), 160, generator=draw)
    return made, 0.1 * sound, BOX.expand(1, frames, 4)


# ---- the network and its file


def test_the_published_size():
    expert = expert_of(0)
    sizes = [sum(p.numel() for p in tower.parameters()) for tower in (expert.of_lips, expert.of_sound)]
    assert sizes == [13_031_808, 3_403_264]  # 16.4 million
    lips, sound = expert.lips(torch.rand(2, 15, 48, 96)), expert.sound(torch.randn(2, 80, 16))
    assert lips.shape == sound.shape == (2, 512) and float(lips.detach().min()) >= 0
    assert torch.allclose(sound.norm(dim=-1), torch.ones(2), atol=1e-5)
    names = set(expert.names().values())
    assert {"face_encoder.16.conv_block.0.weight", "audio_encoder.13.conv_block.1.running_var"} <= names
    assert len(names) == 6 * (17 + 14)


@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_the_file_that_is_put_in_place_is_read(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("LIKENESS_ASSETS", str(tmp_path))
    expert = expert_of(1)
    tensors, folder = published(expert), tmp_path / "wav2lip"
    folder.mkdir()
    if kind == "safetensors":
        save_file(tensors, folder / "lipsync_expert.safetensors")
    else:  # as torch wrote it in 2020, with what else the authors keep in it
        moment = {"state": {0: {"step": 5, "exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}
        whole = {"state_dict": tensors, "optimizer": moment, "global_step": 5, "global_epoch": 1}
        torch.save(whole, folder / "lipsync_expert.pth", _use_new_zipfile_serialization=False)
    loss = PublishedLoss.in_place()
    given_to = stretch(6)
    assert float(loss(*given_to)) == float(PublishedLoss(expert)(*given_to)) and len(loss.id) == 16


def test_a_missing_or_another_file_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("LIKENESS_ASSETS", str(tmp_path))
    with pytest.raises(
        MissingAsset, match=r"wav2lip: lipsync_expert.pth is not there.*github.com/Rudrabha/Wav2Lip.*commercial"
    ):
        PublishedLoss.in_place()
    (tmp_path / "wav2lip").mkdir()
    tensors = published(expert_of(1))
    wide = tensors | {"face_encoder.0.conv_block.0.weight": torch.zeros(32, 15, 5, 5)}
    less = {key: value for key, value in tensors.items() if "audio_encoder.13" not in key}
    for held, says in ((wide, "face_encoder.0.conv_block.0.weight"), (less, "no audio_encoder.13")):
        save_file(held, tmp_path / "wav2lip" / "lipsync_expert.safetensors")
        with pytest.raises(BadInput, match=says):
            PublishedLoss.in_place()


# ---- what it looks at


def test_it_looks_at_the_lower_half_of_the_face_alone():
    made, sound, faces = stretch(6)
    made.requires_grad_()
    loss = PublishedLoss(expert_of(2))(made, sound, faces)
    assert loss.shape == () and float(loss.detach()) > 0
    loss.backward()
    assert made.grad is not None
    middle = int(128 * float(BOX[1] + BOX[3]) / 2)
    assert not made.grad[..., : middle - 1, :].any() and not made.grad[..., 117:, :].any()
    assert bool(made.grad[..., middle:115, 20:108].abs().amax(2).sum((2, 3)).all())
    assert not any(p.requires_grad for p in PublishedLoss(expert_of(2)).expert.parameters())


def test_boxes_are_cut_where_they_are_colours_turned_round():
    place = (torch.arange(128.0) + 0.5) / 128
    down, across = torch.meshgrid(place, place, indexing="ij")
    made = torch.stack([across, down, torch.zeros(128, 128)]).expand(1, 2, 3, 128, 128)
    boxes = torch.tensor([[[0.2, 0.1, 0.8, 0.9], [0.3, 0.0, 0.7, 0.6]]])
    halves = lower_halves(made, boxes)
    assert halves.shape == (1, 2, 3, 48, 96) and not halves[:, :, 0].any()
    for half, (left, top, right, bottom) in zip(halves[0], boxes[0].tolist()):
        assert torch.allclose(half[2, 0], left + (right - left) * (torch.arange(96) + 0.5) / 96, atol=1e-5)
        assert torch.allclose(half[1, :, 0], top + (bottom - top) * (48.5 + torch.arange(48)) / 96, atol=1e-5)


# ---- what it hears


def test_silence_is_the_lowest_and_a_tone_is_in_its_band():
    assert bool((mel(torch.zeros(1, RATE)) == -4).all())
    assert torch.allclose(_bank().sum(1) * 20, torch.ones(80), atol=0.25)  # area 1, sampled every 20 Hz
    time = torch.arange(RATE) / RATE
    for hertz, band in ((440.0, 10), (1000.0, 25), (4000.0, 63)):
        found = mel(torch.sin(2 * torch.pi * hertz * time))
        assert bool((found.argmax(0) == band).all()), (hertz, found[:, 5].argmax())
    # By hand, 440 Hz: bins of 420, 440, 460 Hz have 100, 200, 100, times .1726 of emphasis; the band from 415 to 487 Hz with
    # its top 1 / 35.95 at 450.5 Hz takes .152, .708, .736 of that top: 1.106, which is -19.1 dB.
    loudest = mel(torch.sin(2 * torch.pi * 440.0 * time)).amax(0)
    assert torch.allclose(loudest, torch.full_like(loudest, 8 * (100 - 19.12) / 100 - 4), atol=2e-3)


@settings(max_examples=10, deadline=None)
@given(st.integers(5, 12), st.integers(0, 2**31))
def test_windows_begin_with_their_first_frame(frames, seed):
    """Frame f's 16 columns begin at 640 f, as the original's do at column 80 f / 25 wherever that is whole."""
    sound = torch.from_numpy(np.random.default_rng(seed).normal(0, 0.1, (frames + 2) * HOP).astype(np.float32))
    heard = heard_by(sound[None])
    assert heard.shape == (1, frames - 4, 80, 16)
    whole = mel(torch.cat([torch.zeros(401), sound[HOP:], torch.zeros(400)]))  # column c at sample 200 c of what follows
    for first in range(5, frames - 4, 5):
        assert torch.allclose(heard[0, first], whole[:, 16 * first // 5 : 16 * first // 5 + 16], atol=1e-4)
    # what lies 25 ms before a window and 25 ms behind its last column does not matter
    other = sound.clone()
    other[: HOP - 401], other[HOP + 3400 :] = 0.5, 0.5
    assert torch.equal(heard_by(other[None])[:, 0], heard[:, 0]) and (
        frames == 5 or not torch.equal(heard_by(other[None]), heard)
    )


def test_a_loss_asks_for_five_frames_their_sound_and_a_frame_more_of_it():
    loss = PublishedLoss(expert_of(3))
    made, sound, faces = stretch(8)
    for frames, rows in ((4, 24), (8, 32), (8, 36)):
        with pytest.raises(BadInput, match="5 frames or more"):
            loss(made[:, :frames], sound[:, :rows], faces[:, :frames])
    alone = [float(loss(made[:, t : t + 5], sound[:, 4 * t : 4 * t + 28], faces[:, t : t + 5])) for t in range(4)]
    assert float(loss(made, sound, faces)) == pytest.approx(np.mean(alone), abs=1e-5)  # no window knows of the others
    assert float(loss(made, sound.roll(8, 1), faces)) != pytest.approx(float(loss(made, sound, faces)), abs=1e-6)
