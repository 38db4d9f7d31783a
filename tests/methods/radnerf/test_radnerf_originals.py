"""Checkpoints of the original code: what is imported draws, hears and blinks as the original's formulas say."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from likeness import foreign, methods, speech
from likeness.errors import BadInput, MissingAsset
from likeness.foreign import Foreign
from likeness.importing import import_portrait, plain_stage
from likeness.methods.radnerf.layouts import LEAVE, recognise
from likeness.methods.radnerf.original import AXES, adopt
from likeness.nn import precision
from likeness.nn.radiance.field import view
from likeness.portrait import Heard, Stage
from likeness.speak import Delivery, speak
from tests.originals import STEP, Original, made, write

KINDS = ("RAD-NeRF", "ER-NeRF")
TIME = 24


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    """Products in float32, on every machine."""
    monkeypatch.setattr(precision, "_halves", lambda: False)


@pytest.fixture(scope="module", params=KINDS)
def network(request) -> Original:
    return made(request.param, torso=True)


@pytest.fixture(scope="module")
def checkpoint(network, tmp_path_factory) -> Path:
    return write(network, tmp_path_factory.mktemp("originals") / "ngp_ep0003.pth")


@pytest.fixture(scope="module")
def imported(checkpoint):
    return import_portrait("radnerf", checkpoint, checkpoint.with_suffix(".portrait"))


def held(network: Original, mean: list[torch.Tensor] | None = None, **more: torch.Tensor) -> Foreign:
    """What `foreign.read` gives of a network's checkpoint."""
    tensors = {f"model.{name}": tensor for name, tensor in (network.state_dict() | more).items()}
    return Foreign(Path("a.pth"), tensors | {f"ema.shadow_params.{i}": tensor for i, tensor in enumerate(mean or [])})


def small_stage() -> Stage:
    """The plain stage in a picture of 90²."""
    stage = plain_stage()
    return replace(stage, camera=stage.camera.scaled((90, 90)), background=stage.background[:90, :90])


@pytest.fixture(scope="module")
def small(network):
    return adopt(recognise(held(network)), small_stage(), torch.eye(4))


def points(seed: int, count: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """Places in the field's frame and directions."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(count, 3, generator=generator)
    return torch.rand(count, 3, generator=generator) * 2 - 1, directions / directions.norm(dim=1, keepdim=True)


def theirs_and_ours(network: Original, portrait, x, d, audio, opening: float):
    """Density and colour of both at places; eyes are open by `opening`."""
    e = opening / 4 if network.spoken == 64 else 1 - opening
    motion = replace(portrait.stage.motion, eyes=torch.tensor([opening]))
    code, upper = portrait.within(audio, motion)
    said = portrait.head.said(code, upper, None)
    with torch.no_grad():
        found = portrait.head.field.at(x, torch.zeros(len(x), dtype=torch.long), said)
        rgb = portrait.head.field.colored(found.geometry, view(d), said.appearance.expand(len(x), -1))
    return network(x, d, audio, e), (found.density, rgb)


# ---- what is drawn


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10**6), opening=st.floats(0, 1))
def test_density_and_colour_are_the_originals(network, imported, seed, opening):
    x, d = points(seed)
    audio = torch.randn(1, network.spoken, generator=torch.Generator().manual_seed(seed))
    theirs, ours = theirs_and_ours(network, imported.portrait, x, d, audio, opening)
    torch.testing.assert_close(ours, theirs, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_options_that_were_off(kind):
    """No eyes, no frame codes, no attention over frames, letters of English: still what the original computes."""
    network = made(kind, eyes=False, code=0, attends=False, channels=32)
    portrait = adopt(recognise(held(network)), plain_stage(), torch.eye(4))
    x, d = points(1)
    stream = torch.randn(2 * TIME, 32, generator=torch.Generator().manual_seed(2))
    audio = network.heard(stream, 12)
    assert torch.allclose(heard(portrait, stream)[12], audio[0], atol=1e-5)
    for opening in (0.0, 1.0):
        theirs, ours = theirs_and_ours(network, portrait, x, d, audio, opening)
        torch.testing.assert_close(ours, theirs, rtol=2e-3, atol=2e-4)


def nerf_matrix(p: np.ndarray) -> np.ndarray:
    """Section 2.3 of the specification: from a matrix of transforms.json to the field's frame."""
    rows = [[*(sign * p[row, column] for column, sign in enumerate((1, -1, -1))), 4 * p[row, 3]] for row in (1, 2, 0)]
    return np.array([*rows, [0, 0, 0, 1]])


def pixel(network: Original, camera, pose: np.ndarray, column: int, row: int, audio, e: float) -> tuple[float, np.ndarray]:
    """Alpha and colour of one pixel, from a camera in the field's frame."""
    d = np.array([(column + 0.5 - camera.centre[0]) / camera.focal, (row + 0.5 - camera.centre[1]) / camera.focal, 1])
    d, origin = pose[:3, :3] @ (d / np.linalg.norm(d)), pose[:3, 3]
    near = max(0.0, np.minimum((-1 - origin) / d, (1 - origin) / d).max())
    places = [origin + (near + (k + 0.5) * STEP) * d for k in range(200)]
    places = [x for x in map(torch.tensor, places) if (x.abs() < 1).all() and network.occupied(x)][:16]
    color, left = np.zeros(3), 1.0
    if places:
        x = torch.stack(places).float()
        density, rgb = network(x, torch.tensor(d).float().expand(len(x), 3), audio, e)
        for sigma, c in zip(density.tolist(), rgb.numpy()):
            alpha = 1 - np.exp(-sigma * STEP)
            color, left = color + left * alpha * c, left * (1 - alpha)
    return 1 - left, color


def test_pixels_are_the_originals(network, small):
    """Of the whole way: a matrix of a data set, our pose of it, rays, occupied cells, density, colour, compositing."""
    portrait = small
    turn = Rotation.from_euler("xyz", (0.1, -0.2, 0.05)).as_matrix()
    p = np.eye(4)
    p[:3, :3], p[:3, 3] = turn, turn @ (0.01, 0.02, 0.8)  # OpenGL: the camera looks along -z
    flip = np.diag([1.0, -1, -1, 1])
    motion = replace(portrait.stage.motion, pose=torch.from_numpy(flip @ p @ flip).float()[None], eyes=torch.tensor([0.5]))
    audio = torch.randn(1, network.spoken, generator=torch.Generator().manual_seed(3))
    layer, _ = portrait.render(audio, motion)
    e = 0.125 if network.spoken == 64 else 0.5
    different = 0
    for column, row in ((45, 45), (20, 60), (66, 24), (40, 8), (52, 80), (2, 2)):
        alpha, color = pixel(network, portrait.stage.camera, nerf_matrix(p), column, row, audio, e)
        assert float(layer.alpha[0, row, column]) == pytest.approx(alpha, abs=0.01)
        assert layer.rgb[0, row, column].numpy() == pytest.approx(color, abs=0.01)
        different += alpha > 0.05
    assert different >= 3


def test_torso_is_the_originals(network, imported):
    torso, motion = imported.portrait.stage.torso, imported.portrait.stage.motion
    assert imported.torso == "the checkpoint's"
    turned = torch.eye(4)
    turned[:3, :3] = torch.from_numpy(Rotation.from_euler("xyz", (0.1, 0.15, -0.05)).as_matrix())
    pose = turned @ motion.pose[0]
    drawn = torso.layer(torso.follow(replace(motion, pose=pose[None]))[0])
    field = AXES @ pose
    field[:3, 3] *= 4
    line = torch.linspace(-1, 1, 450)
    grid, seen = network.density_grid_torso.reshape(128, 128), 0
    for row, column in ((0, 0), (449, 10), (300, 200), (220, 449), (400, 333), (350, 100), (10, 240)):
        at = [(float(line[i]) + 1) / 2 * 127 for i in (row, column)]
        near = [
            grid[min(int(at[1]) + i, 127), min(int(at[0]) + j, 127)] * abs(1 - i - at[1] % 1) * abs(1 - j - at[0] % 1)
            for i in (0, 1)
            for j in (0, 1)
        ]
        theirs = network.torso_at(torch.tensor([[line[row], line[column]]]), field)[0].clamp(0, 1)
        if sum(near) < 0.01:
            theirs = torch.zeros(4)
        seen += float(theirs[3]) > 0
        wanted = torch.cat([theirs[:3] * theirs[3:], theirs[3:]])
        assert drawn[row, column] == pytest.approx(wanted.numpy(), abs=2e-3)
    assert seen >= 4


# ---- what is heard


def heard(portrait, stream: torch.Tensor) -> torch.Tensor:
    """Codes of all frames of features that come 50 times a second."""
    rows = stream.repeat_interleave(2, 0)
    frames = len(stream) // 2
    whole = portrait.hearing.window(rows, 0, frames)
    nothing = torch.zeros(stream.shape[1])
    return portrait.listen(Heard(whole, nothing, nothing + 1, torch.ones(frames)))


def test_codes_of_speech_are_the_originals(network, imported):
    dim = network.audio_net.encoder_conv[0].in_channels
    stream = torch.randn(2 * TIME, dim, generator=torch.Generator().manual_seed(4))
    codes = heard(imported.portrait, stream)
    for t in range(8, TIME - 6):
        assert torch.allclose(codes[t], network.heard(stream, t)[0], atol=1e-5)


def test_eyes_in_the_originals_unit(network, imported):
    motion = plain_stage().motion[[0, 0, 0]]
    motion = replace(motion, eyes=torch.tensor([0.0, 0.5, 1.0]))
    _, upper = imported.portrait.within(torch.zeros(3, network.spoken), motion)
    wanted = [0.0, 0.125, 0.25] if network.spoken == 64 else [1.0, 0.5, 0.0]
    assert upper[:, 0].tolist() == pytest.approx(wanted)


class Network(torch.nn.Module):
    """A pretrained network, as transformers gives it: rows say how many there were before."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def from_pretrained(self, folder, **how):
        assert how == {"local_files_only": True, "use_safetensors": True}
        return self

    def forward(self, sound):
        steps = (sound.shape[1] - 400) // 320 + 1
        rows = torch.arange(float(steps))[None, :, None].expand(1, steps, self.dim)
        return type("Output", (), {"logits" if self.dim < 1024 else "last_hidden_state": rows})()


def put_weights(monkeypatch, folder: Path, name: str, dim: int) -> None:
    monkeypatch.setenv("LIKENESS_ASSETS", str(folder))
    (folder / name).mkdir(parents=True)
    for file in ("config.json", "model.safetensors"):
        (folder / name / file).touch()
    module = SimpleNamespace(AutoModel=Network(dim), AutoModelForCTC=Network(dim))
    monkeypatch.setitem(sys.modules, "transformers", module)


@pytest.mark.parametrize("name", ["wav2vec2-letters", "wav2vec2-esperanto", "hubert"])
def test_features_of_networks_in_place(monkeypatch, tmp_path, name):
    dim = speech.RECIPES[name].dim
    put_weights(monkeypatch, tmp_path, name, dim)
    found = speech.extract(name, np.zeros(16000, np.float32))
    assert found.shape == (100, dim) and found[:, 0].tolist() == [t // 2 for t in range(100)]
    put_weights(monkeypatch, tmp_path / "other", name, 7)
    with pytest.raises(BadInput, match="7 numbers a row"):
        speech.extract(name, np.zeros(16000, np.float32))


# ---- the portrait


def test_it_is_an_ordinary_portrait(imported, checkpoint, monkeypatch):
    path = checkpoint.with_suffix(".portrait")
    again = methods.load(path)
    assert again.method == "radnerf" and again.config == imported.portrait.config
    cond = torch.randn(1, again.head.width, generator=torch.Generator().manual_seed(5))
    for portrait in (again, imported.portrait):
        monkeypatch.setattr(portrait, "stage", replace(portrait.stage, camera=small_stage().camera))
    first, second = (p.render(cond, p.stage.motion)[0] for p in (again, imported.portrait))
    assert torch.equal(first.rgb, second.rgb) and float(first.alpha.max()) > 0.1
    assert again.follow(again.stage.motion) is None
    assert (again.stage.background == 255).all()


def test_it_speaks(small, monkeypatch, tmp_path, speech_file):
    """From a sound file to pictures: by the weights in place, else with a message that names them."""
    portrait, name = small, small.hearing.features[0]
    monkeypatch.setenv("LIKENESS_ASSETS", str(tmp_path / "none"))
    with pytest.raises(MissingAsset, match=name):
        speak(portrait, speech_file)
    put_weights(monkeypatch, tmp_path, name, speech.RECIPES[name].dim)
    said = speak(portrait, speech_file, Delivery(eyes="blinks"))
    assert len(said) == 58
    picture = next(iter(said))
    assert picture.shape == (90, 90, 3) and picture.std() > 5


def test_the_running_mean_of_the_weights_is_taken(network):
    """Of all parameters; or, as older versions keep it, of those alone that were trained: the torso's."""
    names = [name for name, _ in network.named_parameters()]
    mean = [parameter.detach() * 0.5 for parameter in network.parameters()]
    plain = recognise(held(network))
    assert not plain.averaged
    found = recognise(held(network, mean))
    assert found.averaged and all(torch.equal(found.tensors[name], 0.5 * plain.tensors[name]) for name in names)
    chosen = [i for i, name in enumerate(names) if "torso" in name or name == "anchor_points"]
    found = recognise(held(network, [mean[i] for i in chosen]))
    assert found.averaged
    for i, name in enumerate(names):
        assert torch.equal(found.tensors[name], plain.tensors[name] * (0.5 if i in chosen else 1))
    assert not recognise(held(network, mean[:3])).averaged


def test_the_running_mean_is_read_from_a_file(network, tmp_path):
    shadow = {"decay": 0.95, "num_updates": 7, "shadow_params": list(network.parameters()), "collected_params": None}
    optimizer = {"state": {0: {"exp_avg": torch.ones(3)}}}
    file = foreign.read(write(network, tmp_path / "a.pth", ema=shadow, optimizer=optimizer), LEAVE)
    assert recognise(file).averaged and not file.below("optimizer.")
    assert file.values["epoch"] == 3 and file.values["stats.valid_loss.0"] == pytest.approx(0.2)


@pytest.mark.parametrize("kind", KINDS)
def test_the_best_file_and_a_bare_one(kind, tmp_path):
    """The best file has no density_grid; older ones are the state alone. Neither has a torso here."""
    network = made(kind)
    state = network.state_dict()
    del state["density_grid"]
    whole = adopt(recognise(held(network)), plain_stage(), torch.eye(4)).state_dict()
    for name, content in (("best", {"model": state, "epoch": 1}), ("bare", state)):
        torch.save(content, tmp_path / name)
        done = import_portrait("radnerf", tmp_path / name, tmp_path / f"{name}.portrait")
        assert (done.torso, done.layout, done.weights, done.stage) == ("none", kind, "as saved", "plain")
        for key, tensor in done.portrait.state_dict().items():
            assert torch.equal(whole[key], tensor)
    assert methods.load(tmp_path / "bare.portrait").stage.torso is None


# ---- what is refused


def test_every_difference_is_told(network):
    """With the shapes that were found and wanted, and which layout was nearest."""
    file = held(network, extra=torch.zeros(2, 3))
    file.tensors["model.color_net.net.1.weight"] = torch.zeros(4, 64)
    del file.tensors["model.audio_net.encoder_fc1.2.bias"]
    offsets = file.tensors["model.torso_encoder.offsets"]
    file.tensors["model.torso_encoder.offsets"] = offsets + (offsets == offsets.max()).int()
    with pytest.raises(BadInput) as raised:
        recognise(file)
    text = str(raised.value)
    kind = "RAD-NeRF" if network.spoken == 64 else "ER-NeRF"
    assert f"The nearest is {kind}" in text and raised.value.exit_code == 3
    lines = [line.strip() for line in text.splitlines()[1:-1]]
    assert f"audio_net.encoder_fc1.2.bias: missing; [{network.spoken}] wanted" in lines
    assert "color_net.net.1.weight: [4, 64] found, [3, 64] wanted" in lines
    assert "extra: not part of it; [2, 3] found" in lines
    assert len(lines) == 4 and sum(line.startswith("torso_encoder.offsets: [0") for line in lines) == 1


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_tensor_that_is_missing_or_of_another_shape_is_named(network, data):
    file = held(network)
    free = ("step_counter", "density_grid", "unc_net")  # what is not drawn may be missing
    name = data.draw(st.sampled_from([key for key in file.tensors if not key.startswith(tuple(f"model.{n}" for n in free))]))
    if data.draw(st.booleans()):
        file.tensors[name] = torch.zeros(*file.tensors[name].shape, 1)
    else:
        del file.tensors[name]
    with pytest.raises(BadInput, match=name.removeprefix("model.").replace(".", r"\.")):
        recognise(file)


def test_something_else_is_compared_with_the_nearest():
    file = Foreign(Path("a.pth"), {"layer.weight": torch.zeros(3)})
    with pytest.raises(BadInput, match=r"a.pth: not the layout") as raised:
        recognise(file)
    assert "layer.weight: not part of it; [3] found" in str(raised.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"aabb_infer": torch.tensor([-2.0, -1, -2, 2, 1, 2])}, "--bound 1"),
        ({"density_bitfield": torch.zeros(128**3 // 8, dtype=torch.uint8)}, "nothing was learned"),
        ({"sigma_net.net.0.weight": torch.full((64, 65), float("nan"))}, "sigma_net.net.0.weight holds numbers that are none"),
    ],
)
def test_values_that_cannot_be(change, says):
    with pytest.raises(BadInput, match=says):
        recognise(held(made("RAD-NeRF"), **change))


@pytest.mark.parametrize(("channels", "says"), [(29, "DeepSpeech"), (80, "80 numbers")])
def test_features_that_do_not_exist_here(channels, says):
    with pytest.raises(BadInput, match=says):
        recognise(held(made("ER-NeRF", channels=channels)))


def test_a_torso_needs_a_square_picture(network):
    stage = small_stage()
    stage = replace(stage, camera=stage.camera.cropped(0, 0, 90, 60), background=stage.background[:60])
    with pytest.raises(BadInput, match="square"):
        adopt(recognise(held(network)), stage, torch.eye(4))
