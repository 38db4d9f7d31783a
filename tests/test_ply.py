"""Splats in a PLY file: what is written is read back, in the layout that viewers expect."""

import pytest
import torch

from likeness.errors import BadInput, Exhausted
from likeness.ply import Cloud, write_ply
from tests.splats_file import columns_of, read_cloud


def cloud(bases: int, count: int = 50) -> Cloud:
    generator = torch.Generator().manual_seed(bases)
    normal = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    return Cloud(normal(count, 3), normal(count, 4), normal(count, 3).exp(), normal(count).sigmoid(), normal(count, bases, 3))


@pytest.mark.parametrize("bases", [1, 4, 9, 16])
def test_what_is_written_is_read_back(tmp_path, bases):
    made = cloud(bases)
    read = read_cloud(write_ply(made, tmp_path / "a.ply"))
    for name in ("means", "scales", "opacities", "sh"):
        assert torch.allclose(getattr(read, name), getattr(made, name), rtol=1e-5, atol=1e-6), name
    assert torch.allclose(read.quats, made.quats / made.quats.norm(dim=1, keepdim=True), atol=1e-6)
    eye = torch.tensor([0.1, -0.2, -5.0])
    assert torch.allclose(read.colors(eye), made.colors(eye), atol=1e-4)


def test_hand_values_in_the_order_of_the_original(tmp_path):
    """One white Gaussian of 1 cm, opacity 3/4, turned a quarter about z, whose red has a harmonic of its own."""
    sh = torch.zeros(1, 4, 3)
    sh[0, 0] = 0.5 / 0.28209479177387814  # white
    sh[0, 2, 0], sh[0, 1, 1] = 7.0, 8.0
    one = Cloud(
        means=torch.tensor([[1.0, 2.0, 3.0]]),
        quats=torch.tensor([[2.0, 0.0, 0.0, 2.0]]),
        scales=torch.full((1, 3), 0.01),
        opacities=torch.tensor([0.75]),
        sh=sh,
    )
    held = columns_of(write_ply(one, tmp_path / "a.ply"))
    names = (
        "x y z nx ny nz f_dc_0 f_dc_1 f_dc_2 f_rest_0 f_rest_1 f_rest_2 f_rest_3 f_rest_4 f_rest_5 f_rest_6 f_rest_7 f_rest_8"
    )
    assert list(held) == [*names.split(), "opacity", *(f"scale_{i}" for i in range(3)), *(f"rot_{i}" for i in range(4))]
    white = 1.7724538509
    wanted = [1, 2, 3, 0, 0, 0, white, white, white, 0, 7, 0, 8, 0, 0, 0, 0, 0, 1.0986123, *[-4.6051702] * 3]
    assert [float(column[0]) for column in held.values()] == pytest.approx([*wanted, 0.5**0.5, 0, 0, 0.5**0.5], abs=1e-5)


def test_opacities_of_0_and_1_stay_finite(tmp_path):
    made = cloud(1, 2)
    made.opacities[:] = torch.tensor([0.0, 1.0])
    read = read_cloud(write_ply(made, tmp_path / "a.ply"))
    assert torch.allclose(read.opacities, made.opacities, atol=2e-6)


def test_flat_colours_are_those_seen_from_the_point_from_everywhere():
    made, eye = cloud(9), torch.tensor([0.0, 0.3, -2.0])
    flat = made.flat(eye)
    assert flat.sh.shape == (50, 1, 3)
    assert torch.allclose(flat.colors(torch.tensor([9.0, 0.0, 1.0])), made.colors(eye), atol=1e-5)


def test_harmonics_of_no_degree_are_refused(tmp_path):
    with pytest.raises(ValueError, match="degree"):
        write_ply(cloud(5), tmp_path / "a.ply")
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    (tmp_path / "a.ply").write_bytes(b"the old one")
    with pytest.raises(BadInput, match="cannot be written"):
        write_ply(cloud(1), tmp_path / "no folder" / "a.ply")
    monkeypatch.setattr("likeness.files.os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(Exhausted):
        write_ply(cloud(1), tmp_path / "a.ply")
    assert (tmp_path / "a.ply").read_bytes() == b"the old one" and len(list(tmp_path.iterdir())) == 1
