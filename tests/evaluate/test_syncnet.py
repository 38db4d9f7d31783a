"""SyncNet's layout and the procedure of LSE-C, LSE-D and offset, on planted answers."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from likeness import mesh
from likeness.evaluate import syncnet
from likeness.evaluate.syncnet import REACH, SyncNet, apart, crops, distances, lse_c, lse_d, offset, shapes


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    found = {}
    for key, shape in shapes().items():
        if key.endswith("running_var"):
            found[key] = 0.5 + torch.rand(shape, generator=generator)
        elif len(shape) == 1:
            found[key] = 0.1 * torch.randn(shape, generator=generator)
        else:
            found[key] = torch.randn(shape, generator=generator) * math.sqrt(2 / math.prod(shape[1:]))
    return found


def test_the_sound_stream_is_the_published_list_of_layers(tensors):
    """The layers of the paper's table as modules, numbered as the file numbers them."""

    def block(into: int, out: int, kernel: tuple[int, int], padding: int) -> list[nn.Module]:
        return [nn.Conv2d(into, out, kernel, padding=padding), nn.BatchNorm2d(out), nn.ReLU()]

    layers = nn.Sequential(
        *block(1, 64, (3, 3), 1), nn.Identity(), *block(64, 192, (3, 3), 1), nn.MaxPool2d((3, 3), (1, 2)),
        *block(192, 384, (3, 3), 1), *block(384, 256, (3, 3), 1), *block(256, 256, (3, 3), 1), nn.MaxPool2d((3, 3), (2, 2)),
        *block(256, 512, (5, 4), 0),
    )  # fmt: skip
    last = nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))
    for module, prefix in ((layers, "netcnnaud."), (last, "netfcaud.")):
        held = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        counts = {k: v for k, v in module.state_dict().items() if k.endswith("num_batches_tracked")}
        module.load_state_dict(held | counts)  # strict: the very same keys and shapes
        module.eval()
    cepstra = torch.randn(3, 1, 13, 20, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.allclose(SyncNet(tensors).sound(cepstra), last(layers(cepstra).flatten(1)), atol=1e-4)


def test_the_lip_stream_is_the_published_list_of_layers(tensors):
    def block(into: int, out: int, kernel: tuple[int, int, int], stride: int, padding: int) -> list[nn.Module]:
        convolution = nn.Conv3d(into, out, kernel, (1, stride, stride), (0, padding, padding))
        return [convolution, nn.BatchNorm3d(out), nn.ReLU()]

    def pool(padding: int) -> nn.Module:
        return nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, padding, padding))

    layers = nn.Sequential(
        *block(3, 96, (5, 7, 7), 2, 0), pool(0), *block(96, 256, (1, 5, 5), 2, 1), pool(1),
        *block(256, 256, (1, 3, 3), 1, 1), *block(256, 256, (1, 3, 3), 1, 1), *block(256, 256, (1, 3, 3), 1, 1), pool(0),
        *block(256, 512, (1, 6, 6), 1, 0),
    )  # fmt: skip
    held = {k.removeprefix("netcnnlip."): v for k, v in tensors.items() if k.startswith("netcnnlip.")}
    counts = {k: v for k, v in layers.state_dict().items() if k.endswith("num_batches_tracked")}
    layers.load_state_dict(held | counts)
    layers.eval()
    last = nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024)).eval()
    held = {k.removeprefix("netfclip."): v for k, v in tensors.items() if k.startswith("netfclip.")}
    last.load_state_dict(held | {"1.num_batches_tracked": torch.tensor(0)})
    pictures = 255 * torch.rand(1, 3, 5, 224, 224, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        wanted = last(layers(pictures).flatten(1))
        assert torch.allclose(SyncNet(tensors).lips(pictures), wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


def test_the_lip_stream_takes_five_pictures(tensors):
    net = SyncNet(tensors)
    pictures = 255 * torch.rand(1, 3, 5, 224, 224, generator=torch.Generator().manual_seed(2))
    found = net.lips(pictures)
    assert found.shape == (1, 1024) and found.std() > 0
    other = pictures.clone()
    other[:, :, 4] = 0
    assert not torch.allclose(net.lips(other), found, rtol=1e-3)
    # Two streams of 6 convolutions and 6 normalisations; two ends of 2 linear maps and a normalisation.
    assert len([key for key in shapes() if key.endswith("weight")]) == 2 * (6 + 6) + 2 * (2 + 1)


@pytest.mark.parametrize("late", [-7, 0, 3])
def test_a_planted_delay_is_found(late):
    """Sound that comes `late` frames after the lips: the window of the lips fits one further on."""
    rng = torch.Generator().manual_seed(3)
    course = torch.randn(120, 1024, generator=rng)
    lips, sound = course[20:100], course[20 - late : 100 - late]
    found = apart(lips, sound).numpy().astype(np.float64)
    assert found.shape == (80, 2 * REACH + 1)
    assert offset(found) == -late
    inside = found[REACH:-REACH, REACH + late]
    assert inside == pytest.approx(np.full(len(inside), 1e-6 * 32), rel=0.01)  # the epsilon over 1024 numbers
    assert lse_c(found) > 20 and lse_d(found) < lse_c(found)


def test_the_ends_are_padded_by_zero_vectors():
    lips, sound = 3 * torch.ones(1, 4), torch.full((1, 4), 3.0)
    found = apart(lips, sound)
    assert float(found[0, REACH]) == pytest.approx(2e-6, rel=0.05)
    assert found[0, [0, 30]].tolist() == pytest.approx([6, 6], abs=1e-4)


def test_the_figures_by_hand():
    rows = np.full((4, 31), 8.0)
    rows[:, 12] = [5, 6, 7, 6]
    rows[:, 20:] = 9.0
    assert lse_d(rows) == 6 and lse_c(rows) == 2 and offset(rows) == 3
    rows[:, :] = 7.0
    assert lse_c(rows) == 0


def test_faces_are_cut_out_as_the_reference_does():
    image = np.full((200, 200, 3), 40, np.uint8)
    image[50:150, 50:150] = (255, 0, 0)
    pixels = np.full((15, 478, 2), 100.0)
    pixels[:, mesh.NODES :] = 5.0  # irises do not count
    pixels[:, 0], pixels[:, 1] = (80, 70), (120, 130)  # centre 100, 100; half of the height: 30
    pixels[7, :2] = (0, 0)  # one bad frame: the median takes it out
    faces = list(crops([image] * 15, pixels))
    assert all(face.shape == (224, 224, 3) and np.array_equal(face, faces[0]) for face in faces[6:9])
    # rows 70 to 154, columns 58 to 142: the red square ends at row 150, that is after 80 of 84 rows
    assert faces[7][10, 10].tolist() == [0, 0, 255]  # BGR
    edge = np.flatnonzero(faces[7][:, 100, 2] < 150)
    assert edge[0] == pytest.approx(224 * 80 / 84, abs=2) and faces[7][-1, 100].tolist() == [40, 40, 40]
    corner = np.repeat(np.linspace(0, 20, 478)[None, :, None], 15, axis=0).repeat(2, axis=2)
    outside = list(crops([image] * 15, corner))[7]
    assert outside[0, 0].tolist() == [110, 110, 110]


def test_windows_are_as_many_as_in_the_reference(tensors):
    class Quick(SyncNet):
        """Says how bright the middle picture is, and how loud the sound."""

        def __init__(self) -> None:
            super().__init__({})

        def lips(self, pictures):
            return pictures[:, 0, 2].mean((1, 2))[:, None].expand(-1, 1024)

        def sound(self, cepstra):
            return cepstra[:, 0, 0].mean(1)[:, None].expand(-1, 1024)

    pixels = np.repeat(np.random.default_rng(0).uniform(60, 140, (1, 478, 2)), 14, axis=0)
    pictures = [np.full((200, 200, 3), 10 * t, np.uint8) for t in range(14)]
    sound = np.random.default_rng(1).standard_normal(14 * 640).astype(np.float32) * 0.1
    found = distances(Quick(), pictures, pixels, sound)
    assert found.shape == (9, 31)  # i = 0 .. N - 6
    loud = syncnet.mfcc(sound)[4 * 3 : 4 * 3 + 20, 0].mean()
    assert found[3, REACH] == pytest.approx(32 * abs(50 - loud), rel=1e-3)
    assert found[0, 0] == pytest.approx(32 * 20, rel=1e-3)  # beyond the beginning: nothing
    assert distances(Quick(), pictures, pixels, sound[: 9 * 640]).shape == (4, 31)
    with pytest.raises(ValueError, match="more than 5"):
        distances(Quick(), pictures[:5], pixels[:5], sound)
