"""Perceptual distances: hand values, what changes nothing, gradients, and weights that are missing or something else."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from likeness.errors import BadInput, MissingAsset
from likeness.nn.perceptual import BACKBONE, LINEAR, LaplacianDistance, Lpips, perceptual_loss


def random_weights(seed: int = 0) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A backbone that keeps the size of its signal, and weights that are not negative, as LPIPS's are."""
    generator = torch.Generator().manual_seed(seed)
    backbone = {}
    for key, shape in BACKBONE.items():
        spread = (2 / math.prod(shape[1:])) ** 0.5 if len(shape) > 1 else 0.1
        backbone[key] = spread * torch.randn(shape, generator=generator)
    return backbone, {key: torch.rand(shape, generator=generator) for key, shape in LINEAR.items()}


def pictures(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, 3, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=["laplacian", "lpips"])
def distance(request) -> LaplacianDistance | Lpips:
    return LaplacianDistance() if request.param == "laplacian" else Lpips(*random_weights())


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Where weights are looked for; nothing is there."""
    monkeypatch.setenv("LIKENESS_ASSETS", str(tmp_path))
    (tmp_path / "lpips").mkdir()
    return tmp_path / "lpips"


# ---- laws of both


def test_equal_pictures_are_at_distance_zero(distance) -> None:
    a = pictures(2, 32, 45)
    assert torch.equal(distance(a, a.clone()), torch.zeros(2))


def test_it_is_symmetric_and_never_negative(distance) -> None:
    a, b = pictures(3, 40, 32), pictures(3, 40, 32, seed=1)
    there, back = distance(a, b), distance(b, a)
    assert torch.allclose(there, back) and (there > 0).all()


def test_a_batch_is_its_pictures_one_by_one(distance) -> None:
    a, b = pictures(2, 3, 33, 64), pictures(2, 3, 33, 64, seed=1)
    together = distance(a, b)
    assert together.shape == (2, 3)
    assert torch.allclose(together[1, 2], distance(a[1, 2], b[1, 2]), rtol=1e-4)
    assert distance(a[0, 0], b[0, 0]).shape == ()


def test_what_lies_outside_the_mask_has_no_effect_and_no_gradient(distance) -> None:
    a, b = pictures(1, 48, 48).requires_grad_(), pictures(1, 48, 48, seed=1)
    mask = torch.zeros(1, 48, 48)
    mask[:, 10:40, 20:30] = 1
    distance(a, b, mask).sum().backward()
    assert a.grad is not None
    assert (a.grad[mask == 0] == 0).all() and (a.grad[mask == 1] != 0).any()
    other = torch.where(mask[..., None] == 1, a.detach(), pictures(1, 48, 48, seed=2))
    assert torch.allclose(distance(other, b, mask), distance(a, b, mask).detach())
    assert torch.equal(distance(a, b, torch.ones_like(mask)), distance(a, b))
    assert float(distance(a.detach(), b, torch.zeros_like(mask))) == 0  # an empty mask is no division by zero


def test_the_gradient_is_that_of_finite_differences(distance) -> None:
    distance = distance.double()
    a, b = pictures(1, 32, 32).double().requires_grad_(), pictures(1, 32, 32, seed=1).double()
    distance(a, b).sum().backward()
    way = torch.randn(a.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    h = 1e-7
    with torch.no_grad():
        slope = (distance(a + h * way, b) - distance(a - h * way, b)) / (2 * h)
    assert a.grad is not None and torch.allclose((a.grad * way).sum(), slope, rtol=1e-3)


def test_going_down_the_gradient_makes_pictures_alike(distance) -> None:
    a, b = pictures(1, 32, 32).requires_grad_(), pictures(1, 32, 32, seed=1)
    optimiser = torch.optim.Adam([a], lr=0.02)
    before = float(distance(a.detach(), b))
    for _ in range(30):
        optimiser.zero_grad()
        distance(a, b).sum().backward()
        optimiser.step()
    assert float(distance(a.detach(), b)) < 0.6 * before


def test_pictures_under_32_pixels_are_refused(distance) -> None:
    assert distance(pictures(32, 32), pictures(32, 32, seed=1)).isfinite()
    with pytest.raises(ValueError, match="31 x 64"):
        distance(pictures(64, 31), pictures(64, 31))


# ---- Laplacian pyramids


def test_another_brightness_is_seen_by_the_low_pass_alone() -> None:
    a = pictures(2, 37, 50)
    brighter = a + torch.tensor([0.1, 0.2, 0.3])
    assert torch.allclose(LaplacianDistance()(a, brighter), torch.tensor(0.2), atol=1e-6)
    assert torch.allclose(LaplacianDistance((1.0, 1.0, 1.0, 0.0))(a, brighter), torch.tensor(0.0), atol=1e-6)


def test_hand_values_of_the_finest_pattern() -> None:
    """A chequerboard of +-c is gone after the first blur: its whole contrast lies in the finest level."""
    board = 0.25 * (-1.0) ** (torch.arange(32)[:, None] + torch.arange(32))[..., None].expand(32, 32, 3)
    a = torch.full((32, 32, 3), 0.5)
    assert LaplacianDistance((1.0, 0.0))(a, a + board) == pytest.approx(0.25, abs=1e-6)
    assert LaplacianDistance((0.0, 1.0, 1.0, 1.0))(a, a + board) == pytest.approx(0.0, abs=1e-6)


def test_hand_value_of_one_bright_pixel() -> None:
    """At an even place far from the border: the first band is the pixel less its blurred, spread and blurred self."""
    a, b = torch.zeros(64, 64, 3), torch.zeros(64, 64, 3)
    b[32, 32] = 1.0
    # In one dimension the blur gives 1/16, 6/16, 1/16 at the even places; spread by taps 1 6 1 (even) and 4 4 (odd) over 8.
    line = torch.zeros(9)
    for place, value in ((2, 1.0), (4, 6.0), (6, 1.0)):
        line[place - 2 : place + 3] += value / 16 * torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 8
    band = -line[:, None] * line
    band[4, 4] += 1
    wanted = float(band.abs().sum()) / 64**2
    assert float(LaplacianDistance((1.0, 0.0))(a, b)) == pytest.approx(wanted, rel=1e-5)


def test_it_is_linear_in_the_contrast_and_blind_to_what_both_share() -> None:
    a, b, both = (pictures(48, 48, seed=seed) for seed in range(3))
    distance = LaplacianDistance()
    assert torch.allclose(distance(3 * a, 3 * b), 3 * distance(a, b))
    assert torch.allclose(distance(a + both, b + both), distance(a, b), atol=1e-6)
    assert torch.allclose(distance(a.flip(1), b.flip(1)), distance(a, b), rtol=0.05)  # samples lie at even places


# ---- LPIPS


def by_hand(a: Tensor, b: Tensor, backbone: dict[str, Tensor], linear: dict[str, Tensor]) -> float:
    """LPIPS of two pictures as the paper has it, over modules as torchvision arranges them."""
    features = torch.nn.Sequential(
        torch.nn.Conv2d(3, 64, 11, 4, 2), torch.nn.ReLU(), torch.nn.MaxPool2d(3, 2),
        torch.nn.Conv2d(64, 192, 5, padding=2), torch.nn.ReLU(), torch.nn.MaxPool2d(3, 2),
        torch.nn.Conv2d(192, 384, 3, padding=1), torch.nn.ReLU(),
        torch.nn.Conv2d(384, 256, 3, padding=1), torch.nn.ReLU(),
        torch.nn.Conv2d(256, 256, 3, padding=1), torch.nn.ReLU(),
    )  # fmt: skip
    features.load_state_dict({key.removeprefix("features."): value for key, value in backbone.items()})
    total, stage = 0.0, 0
    x, y = (((p.permute(2, 0, 1) * 2 - 1) - torch.tensor([[[-0.030]], [[-0.088]], [[-0.188]]])) for p in (a, b))
    x, y = (p / torch.tensor([[[0.458]], [[0.448]], [[0.450]]]) for p in (x, y))
    for module in features:
        x, y = module(x), module(y)
        if isinstance(module, torch.nn.ReLU):
            weights = linear[f"lin{stage}.model.1.weight"][0, :, 0, 0]
            places = [
                float((weights * (F.normalize(x[:, i, j], dim=0) - F.normalize(y[:, i, j], dim=0)) ** 2).sum())
                for i in range(x.shape[1])
                for j in range(x.shape[2])
            ]
            total, stage = total + sum(places) / len(places), stage + 1
    assert stage == 5
    return total


@torch.no_grad()
@pytest.mark.parametrize("shape", [(32, 32), (47, 64)])
def test_lpips_over_a_random_backbone(shape) -> None:
    backbone, linear = random_weights(1)
    a, b = pictures(*shape), pictures(*shape, seed=5)
    assert float(Lpips(backbone, linear)(a, b)) == pytest.approx(by_hand(a, b, backbone, linear), rel=1e-4)


def test_without_any_feature_the_gradient_is_finite() -> None:
    backbone, linear = random_weights()
    backbone["features.0.bias"] = torch.full((64,), -100.0)
    a = pictures(32, 32).requires_grad_()
    Lpips(backbone, linear)(a, pictures(32, 32, seed=1)).backward()
    assert a.grad is not None and a.grad.isfinite().all()


def test_lpips_is_frozen() -> None:
    assert not list(Lpips(*random_weights()).parameters())


# ---- weights in place


def put(folder: Path, backbone: dict, linear: dict, kind: str) -> None:
    for name, held in (("alexnet-owt-7be5be79" if kind == "pth" else "alexnet", backbone), ("alex", linear)):
        path = folder / f"{name}.{kind}"
        torch.save(held, path) if kind == "pth" else save_file(held, path)


@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_lpips_is_chosen_where_its_weights_are(folder, kind) -> None:
    backbone, linear = random_weights(2)
    classifier = {f"classifier.{i}.{part}": torch.ones(3) for i in (1, 4, 6) for part in ("weight", "bias")}
    put(folder, backbone | classifier, linear, kind)
    chosen = perceptual_loss()
    assert chosen.name == "lpips"
    a, b = pictures(40, 40), pictures(40, 40, seed=1)
    assert torch.equal(chosen(a, b), Lpips(backbone, linear)(a, b))
    assert perceptual_loss("laplacian").name == "laplacian"


def test_without_weights_pyramids_are_chosen_and_lpips_says_what_is_missing(folder) -> None:
    assert perceptual_loss().name == "laplacian"
    with pytest.raises(MissingAsset, match=r"alexnet-owt-7be5be79\.pth is not there") as raised:
        perceptual_loss("lpips")
    assert str(folder) in str(raised.value) and "LPIPS needs" in str(raised.value) and raised.value.exit_code == 4
    torch.save(random_weights()[0], folder / "alexnet-owt-7be5be79.pth")
    with pytest.raises(MissingAsset, match=r"alex\.pth is not there"):  # who put one there wants LPIPS
        perceptual_loss()


class Bomb:
    """Does harm when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, (os.environ["BOMB"],)


def wrong_backbones() -> dict[str, object]:
    backbone, linear = random_weights()
    key = "features.3.weight"
    return {
        "a missing key": {k: v for k, v in backbone.items() if k != key},
        "an unknown key": backbone | {"features.2.weight": torch.ones(3)},
        "a wrong shape": backbone | {key: torch.ones(192, 64, 3, 3)},
        "no tensor": backbone | {key: "text"},
        "other weights": linear,
        "no dictionary": [torch.ones(3)],
        "code": {"features.0.weight": Bomb()},
    }


@pytest.mark.parametrize("which", wrong_backbones())
def test_a_wrong_file_is_refused(folder, monkeypatch, which) -> None:
    monkeypatch.setenv("BOMB", str(folder / "harm"))
    put(folder, random_weights()[0], random_weights()[1], "pth")
    torch.save(wrong_backbones()[which], folder / "alexnet-owt-7be5be79.pth")
    with pytest.raises(BadInput, match=r"alexnet-owt-7be5be79\.pth"):
        perceptual_loss()
    assert not (folder / "harm").exists()


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04 cut short", bytes(range(256)) * 9])
def test_a_damaged_file_is_refused(folder, content) -> None:
    put(folder, random_weights()[0], random_weights()[1], "safetensors")
    (folder / "alex.safetensors").write_bytes(content)
    with pytest.raises(BadInput, match=r"alex\.safetensors.*download it again"):
        perceptual_loss()
    if not content:  # all of them: tests/test_foreign.py
        (folder / "alex.pth").write_bytes(content)
        with pytest.raises(BadInput, match=r"alex\.pth.*download it again"):
            perceptual_loss()


def test_the_published_linear_weights_fit(folder) -> None:
    """torchmetrics, a tool of the tests, carries them."""
    torchmetrics = pytest.importorskip("torchmetrics")
    published = Path(torchmetrics.__file__).parent / "functional/image/lpips_models/alex.pth"
    put(folder, random_weights()[0], {}, "safetensors")
    (folder / "alex.pth").write_bytes(published.read_bytes())
    assert perceptual_loss().name == "lpips"
