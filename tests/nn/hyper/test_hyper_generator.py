"""The base generator: sizes, what it sees and hears of what it is given, and that streams are whole sequences."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from likeness.errors import BadInput
from likeness.nn.hyper import BaseGenerator, hidden, preset
from likeness.nn.hyper.cues import Cues
from likeness.nn.hyper.decoder import FaceDecoder
from likeness.nn.hyper.ear import MAPS, PictureEar
from likeness.nn.hyper.recurrence import Recurrence
from likeness.nn.hyper.settings import GUIDES, KEPT, MADE, SHAPE
from likeness.nn.hyper.trunk import Context, Trunk, divisible

NARROW = {"trunk_width": 0.25, "decoder_width": 0.2}


def millions(*modules: nn.Module | None) -> float:
    return sum(p.numel() for module in modules if module is not None for p in module.parameters()) / 1e6


def given_to(batch: int, time: int, columns: int = 42, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, Cues]:
    """Of the paper's preset, too, which hears 80 columns and looks at nothing but the sound."""
    draw = torch.Generator().manual_seed(seed)
    crops, references = (torch.rand(batch, time, 3, 128, 128, generator=draw) for _ in range(2))
    sound = torch.randn(batch, time, columns, 20, generator=draw)
    sketch = torch.rand(batch, time, GUIDES, 128, 128, generator=draw)
    return crops, references, Cues(sound, torch.randn(batch, time, SHAPE, generator=draw), sketch)


def columns_of(name: str) -> int:
    return preset(name).columns


def part(cues: Cues, frames: slice | torch.Tensor) -> Cues:
    return Cues(*(cue[:, frames] for cue in cues))


@pytest.fixture(scope="module")
def fast() -> BaseGenerator:
    """As if it had learned: it begins with the reference, and changes nothing of it."""
    torch.manual_seed(0)
    generator = BaseGenerator(preset("fast", **NARROW)).eval()
    nn.init.normal_(generator.head[1].weight, std=0.1)
    return generator


@pytest.fixture(scope="module")
def paper() -> BaseGenerator:
    torch.manual_seed(0)
    return BaseGenerator(preset("paper")).eval()


# ---- sizes


def test_published_sizes(paper):
    assert millions(paper) == pytest.approx(29.7, abs=0.05)
    assert millions(paper.trunk) == pytest.approx(2.97, abs=0.005)
    assert millions(paper.context) == pytest.approx(0.25, abs=0.005)
    assert isinstance(paper.ear, PictureEar) and paper.ear.sizes == (5120, 1920, 800, 640)
    assert millions(paper.ear.trunk) == pytest.approx(2.97, abs=0.005)
    assert millions(paper.codes, paper.meet) == pytest.approx(22.6, abs=0.05)
    coarsest = paper.meet[-1]
    assert millions(coarsest.first.kernel, coarsest.second.kernel) == pytest.approx(19.2, abs=0.05)
    assert [meet.first.kernel.out_features for meet in paper.meet] == [2304, 5184, 14400, 147456]
    assert millions(paper.decoder) == pytest.approx(0.59, abs=0.005)
    assert millions(paper.head) == pytest.approx(0.09, abs=0.005)


def test_taps_of_the_trunk():
    trunk = Trunk(6).eval()
    shapes = [tuple(maps.shape[1:]) for maps in trunk(torch.rand(1, 6, 128, 128))]
    assert shapes == [(16, 64, 64), (24, 32, 32), (40, 16, 16), (960, 8, 8)]
    assert Context(960, 128).eval()(torch.rand(1, 960, 8, 8)).shape == (1, 128, 8, 8)
    heard = Trunk(1).eval()(torch.rand(1, 1, 80, 16))
    assert [tuple(maps.shape[2:]) for maps in heard] == list(MAPS)
    narrow = Trunk(2, 0.3)
    assert tuple(maps.shape[1] for maps in narrow(torch.rand(1, 2, 32, 32))) == narrow.channels


def test_the_last_stage_is_dilated_and_not_strided():
    """A pixel of the coarsest map sees farther than stride 32 would let it, at twice the resolution."""
    strides = [m.stride[0] for m in Trunk(3).modules() if isinstance(m, nn.Conv2d) and m.stride[0] > 1]
    dilations = [m.dilation[0] for m in Trunk(3).modules() if isinstance(m, nn.Conv2d) and m.dilation[0] > 1]
    assert strides == [2, 2, 2, 2] and dilations == [2, 2, 2]


def test_channels_are_multiples_of_eight_and_hardly_fewer_than_asked_for():
    for asked in (i + 0.5 for i in range(0, 1000, 7)):
        assert divisible(asked) % 8 == 0 and divisible(asked) >= 0.9 * asked
    assert [divisible(c) for c in (16.0, 24.0, 40.0, 960.0)] == [16, 24, 40, 960]


@pytest.mark.parametrize("features, columns", [(("mel",), 80), (("phones",), 42), (("mel", "phones"), 122)])
def test_shapes(features, columns):
    settings = preset("fast", features=features, **NARROW)
    assert settings.columns == columns
    with torch.inference_mode():
        faces, state = BaseGenerator(settings).eval()(*given_to(2, 3, columns))
    assert faces.shape == (2, 3, 3, 128, 128)
    assert [tuple(memory.shape[::2]) for memory in state] == [(2, side) for side in (8, 16, 32, (128 - MADE) // 2)]


def test_settings_that_make_no_network_are_refused():
    with pytest.raises(BadInput, match="no preset"):
        preset("large")
    with pytest.raises(BadInput, match="hears mel or phones"):
        preset("fast", features=("hubert",))
    with pytest.raises(BadInput, match="mel alone"):
        preset("paper", features=("mel", "phones"))
    with pytest.raises(BadInput, match="above 0"):
        preset("fast", trunk_width=0.0)


# ---- what is seen and heard


@pytest.mark.parametrize("name", ["fast", "paper"])
def test_the_hidden_half_has_no_influence(name, fast, paper):
    crops, references, cues = given_to(1, 1, columns_of(name))
    crops.requires_grad_()
    (fast if name == "fast" else paper)(crops, references, cues)[0].square().sum().backward()
    assert crops.grad is not None
    assert not crops.grad[..., KEPT:, :].any() and crops.grad[..., :KEPT, :].any()


def test_not_even_what_is_no_number_leaks_out_of_the_hidden_half():
    crops = torch.full((1, 3, 128, 128), torch.nan)
    crops[..., :KEPT, :] = 0.5
    assert hidden(crops)[..., :KEPT, :].eq(0.5).all() and not hidden(crops)[..., KEPT:, :].any()


def test_what_is_not_made_is_the_crops(fast, paper):
    crops, references, cues = given_to(1, 1)
    with torch.inference_mode():
        made = fast(crops, references, cues)[0]
        assert torch.equal(made[..., :MADE, :], crops[..., :MADE, :]) and not torch.equal(
            made[..., MADE:, :], crops[..., MADE:, :]
        )
        made = paper(*given_to(1, 1, 80))[0]
    assert not torch.isclose(made, crops).all(-1).any()


@pytest.mark.parametrize("name", ["fast", "paper"])
def test_sound_changes_its_own_sample_only(name, fast, paper):
    generator = fast if name == "fast" else paper
    crops, references, cues = given_to(3, 1, columns_of(name))
    sound = cues.sound.clone()
    sound[1] += torch.randn(sound.shape[2:], generator=torch.Generator().manual_seed(1))
    other = cues._replace(sound=sound)
    with torch.inference_mode():
        changed = (generator(crops, references, other)[0] - generator(crops, references, cues)[0]).abs().amax((1, 2, 3, 4))
    assert changed[0] < 1e-6 and changed[2] < 1e-6 and changed[1] > 1e-5


def test_silence_makes_a_face_too(fast):
    """A window without any variation: nothing is divided by its spread."""
    crops, references, cues = given_to(1, 1)
    with torch.inference_mode():
        assert torch.isfinite(fast(crops, references, cues._replace(sound=torch.full_like(cues.sound, -4.0)))[0]).all()


def test_it_begins_with_the_reference_and_the_paper_with_nothing_of_it(paper):
    crops, references, cues = given_to(1, 1)
    with torch.inference_mode():
        made = BaseGenerator(preset("fast", **NARROW)).eval()(crops, references, cues)[0]
        assert torch.equal(made[..., MADE:, :], references[..., MADE:, :])
        anew = paper(*given_to(1, 1, 80))[0]
    assert float(anew.min()) > 0 and float(anew.max()) < 1  # within colours by itself


def test_shape_and_sketch_matter(fast):
    crops, references, cues = given_to(1, 1)
    with torch.inference_mode():
        whole = fast(crops, references, cues)[0]
        for name in ("shape", "sketch"):
            other = fast(crops, references, cues._replace(**{name: torch.zeros_like(getattr(cues, name))}))[0]
            assert (whole - other).abs().max() > 1e-5


def test_a_single_frame_can_be_learned_from():
    """A batch of one frame in training: the group norm has what it needs, and every weight that the frame uses learns."""
    torch.manual_seed(0)
    generator = BaseGenerator(preset("fast", **NARROW)).train()
    nn.init.normal_(generator.head[1].weight, std=0.1)
    generator(*given_to(1, 1))[0].mean().backward()
    still = {name for name, p in generator.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()}
    recurrent = {
        name for name, _ in generator.named_parameters() if "recurrence.gates" in name or "recurrence.candidate" in name
    }
    assert still == recurrent  # a first frame has nothing to remember
    generator.zero_grad(set_to_none=True)
    generator(*given_to(1, 2))[0].mean().backward()
    assert all(p.grad is not None for p in generator.parameters())


# ---- time


def test_a_stream_frame_by_frame_is_the_whole_sequence(fast):
    crops, references, cues = given_to(2, 5)
    with torch.inference_mode():
        whole, last = fast(crops, references, cues)
        for sizes in ((1, 1, 1, 1, 1), (2, 3)):
            state, parts = (), []
            for some in torch.arange(5).split(sizes):
                faces, state = fast(crops[:, some], references[:, some], part(cues, some), state)
                parts.append(faces)
            assert (torch.cat(parts, 1) - whole).abs().max() < 1e-5
            assert all((a - b).abs().max() < 1e-5 for a, b in zip(state, last))


def test_memory_is_carried_and_the_papers_is_not(fast, paper):
    with torch.inference_mode():
        for generator, columns, carried in ((fast, 42, True), (paper, 80, False)):
            crops, references, cues = given_to(1, 2, columns)
            whole, state = generator(crops, references, cues)
            anew, _ = generator(crops[:, 1:], references[:, 1:], part(cues, slice(1, None)))
            assert ((whole[:, 1:] - anew).abs().max() > 1e-5) == carried
            assert bool(state) == carried


def test_samples_and_frames_are_not_mixed_up(fast):
    """[batch time ...] in the one order: a sample's frames are neighbours, whatever the batch."""
    crops, references, cues = given_to(3, 2)
    with torch.inference_mode():
        together, _ = fast(crops, references, cues)
        for i in range(3):
            alone, _ = fast(crops[i : i + 1], references[i : i + 1], Cues(*(cue[i : i + 1] for cue in cues)))
            assert (together[i] - alone[0]).abs().max() < 1e-5


def test_recurrence_by_its_equations():
    torch.manual_seed(0)
    cell = Recurrence(3)
    x, memory = torch.randn(2, 3, 3, 5, 4), torch.randn(2, 3, 5, 4)
    weight = cell.seen.weight

    def of(now: torch.Tensor, held: torch.Tensor, part: slice, on_memory: nn.Conv2d, rows: slice) -> torch.Tensor:
        """One convolution over x and memory side by side, as the equations have it."""
        kernel = torch.cat([weight[part], on_memory.weight[rows]], 1)
        return torch.conv2d(torch.cat([now, held], 1), kernel, cell.seen.bias[part], padding=1)

    got, held = cell(x, memory), memory
    for t in range(3):
        reset = of(x[:, t], held, slice(0, 3), cell.gates, slice(0, 3)).sigmoid()
        update = of(x[:, t], held, slice(3, 6), cell.gates, slice(3, 6)).sigmoid()
        candidate = of(x[:, t], reset * held, slice(6, 9), cell.candidate, slice(0, 3)).tanh()
        held = (1 - update) * held + update * candidate
        assert (got[:, t] - held).abs().max() < 1e-5
    assert (cell(x, None) - cell(x, torch.zeros_like(memory))).abs().max() < 1e-6


def test_skips_of_the_decoder_have_the_size_of_their_maps():
    decoder = FaceDecoder((16, 24, 40, 128), 6, 1.0, True)
    assert [merge[0].in_channels for merge in decoder.merge] == [128 + 40 + 6, 80 + 24 + 6, 40 + 16 + 6]
    assert [remember.recurrence.channels for remember in decoder.remember] == [64, 40, 20, 16]
