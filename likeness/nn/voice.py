"""Voice: sound to the rig's lip coefficients, by kernel ridge regression over a short window of speech features.

The voice remembers how the clip sounded (*keys*: one window a frame) and answers with what the lips did when it sounded
like that. It was chosen over temporal convolutions (one net a fold, 250 steps, one seed): opening r over 6 blocked folds
.740 against .684 on presenter.mp4 and .686 against .643 on a second clip of a minute; averaging both gained .002. It is
solved in closed form, in seconds, and comes out the same every time.

There are two families: *own* hears mel and log phones, *other* phone probabilities alone, since another person's timbre
misleads. Every frame is computed from its own window, so that any chunking gives the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likeness.audio import ROWS_PER_FRAME, Hearing
from likeness.portrait import Heard
from likeness.rig import LIP_COEFFICIENTS
from likeness.speech import BANDS, RECIPES, probabilities

HEARING = Hearing(("mel", "phones"))
"""Past 4, future 2: four to eight frames ahead, or eight behind, gained .00 on presenter.mp4 and lost on address.mp4."""
PHONES = RECIPES["phones"].dim
Family = Literal["own", "other"]
FAMILIES: tuple[Family, ...] = ("own", "other")
GROUPS: dict[Family, tuple[int, ...]] = {"own": (BANDS, PHONES), "other": (PHONES,)}
"""Columns of what a family hears; every group counts the same, whatever its number of columns."""
TAPER = {"own": 1.5, "other": 2.2}
"""Standard deviation in frames of the weight that a window's frames have. Own: .686 (mean r of four clips; 1.2 and 1.8 lose
.001 to .002, a flat window .014). Other: the wider the better on foreign speakers."""
SPREAD_FLOOR = {"own": 0.02, "other": 0.05}  # of a phone's column: rare phones must not shout


class Memory(nn.Module):
    """Kernel ridge regression that was fitted: `count` keys, and what each contributes to the lips."""

    keys: Tensor
    weights: Tensor
    bias: Tensor
    sharpness: Tensor

    def __init__(self, count: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("keys", torch.zeros(count, dim, dtype=torch.float16))
        self.register_buffer("weights", torch.zeros(count, LIP_COEFFICIENTS))
        self.register_buffer("bias", torch.zeros(LIP_COEFFICIENTS))
        self.register_buffer("sharpness", torch.ones(1))

    def similarity(self, windows: Float[Tensor, "time dim"]) -> Float[Tensor, "time keys"]:
        """exp(-sharpness · squared distance), 1 for a window that is a key. In double: the parts of a sum of squares cancel,
        and chunks must not show."""
        windows, keys = windows.double(), self.keys.double()
        distance = windows.square().sum(1)[:, None] + keys.square().sum(1) - 2 * windows @ keys.T
        return (-self.sharpness.double() * distance.clamp_min(0)).exp()

    def forward(self, windows: Float[Tensor, "time dim"]) -> Float[Tensor, "time lips"]:
        return (self.bias + self.similarity(windows) @ self.weights.double()).float()


class Voice(nn.Module):
    """Both families with everything they need: statistics of the clip's sound, calibration, the mouth at rest."""

    hearing = HEARING

    rest: Tensor
    phone_mean: Tensor
    phone_std: Tensor
    calibration: Tensor
    mel_mean: Tensor
    mel_std: Tensor
    limit: Tensor

    def __init__(self, count: int) -> None:
        """`count`: keys of each family."""
        super().__init__()
        frames = HEARING.rows // ROWS_PER_FRAME
        self.families = nn.ModuleDict({name: Memory(count, frames * sum(GROUPS[name])) for name in FAMILIES})
        self.register_buffer("phone_mean", torch.zeros(len(FAMILIES), PHONES))
        self.register_buffer("phone_std", torch.ones(len(FAMILIES), PHONES))
        self.register_buffer("calibration", torch.eye(LIP_COEFFICIENTS).repeat(len(FAMILIES), 1, 1))
        self.register_buffer("rest", torch.zeros(LIP_COEFFICIENTS))
        self.register_buffer("mel_mean", torch.zeros(BANDS))
        self.register_buffer("mel_std", torch.ones(BANDS))
        self.register_buffer("limit", torch.ones(1))

    @staticmethod
    def restored(state: Mapping[str, Tensor]) -> Voice:
        """The voice among the tensors of a run, where its names begin with `voice.`"""
        mine = {key.removeprefix("voice."): value for key, value in state.items() if key.startswith("voice.")}
        voice = Voice(len(mine["families.own.keys"]))
        voice.load_state_dict(mine)
        return voice

    def __len__(self) -> int:
        return len(self.memory("own").keys)

    def memory(self, family: Family) -> Memory:
        """The fitted regression of a family."""
        found = self.families[family]
        assert isinstance(found, Memory)
        return found

    def windows(
        self,
        features: Float[Tensor, "rows dim"],
        mean: Float[Tensor, " dim"],
        std: Float[Tensor, " dim"],
        family: Family,
    ) -> Float[Tensor, "time window"]:
        """What a family hears for each frame of a stretch: the means of the frames' rows, normalised and weighted.

        Mel is normalised by the sound's own statistics (a microphone is no message), phones by those of the training clip
        (silence must not be blown up to phones). Means over a frame's 4 rows: as good as every row (.686 against .681).
        """
        frames = features.float().unflatten(0, (-1, ROWS_PER_FRAME))
        index = FAMILIES.index(family)
        phones = frames[..., BANDS:] if family == "own" else probabilities(frames[..., BANDS:])
        groups = [(phones.mean(1) - self.phone_mean[index]) / self.phone_std[index]]
        if family == "own":
            groups.insert(0, (frames[..., :BANDS].mean(1) - mean[:BANDS]) / std[:BANDS].clamp_min(1e-3))
        heard = torch.cat([group * group.shape[1] ** -0.5 for group in groups], dim=1)
        place = torch.arange(-HEARING.past, HEARING.future + 1)
        weight = torch.exp(-0.5 * (place / TAPER[family]) ** 2)
        stretch = heard.unfold(0, len(place), 1) * (weight / weight.sum()).sqrt()
        return stretch.flatten(1)

    @torch.no_grad()
    def forward(self, heard: Heard) -> Float[Tensor, "time lips"]:
        """Lip coefficients of the T frames in the middle of the stretch; `heard.amplitude` is round the mouth at rest."""
        memory = self.memory(heard.voice)
        windows = self.windows(heard.features, heard.mean.float(), heard.std.float(), heard.voice)
        centre = memory.bias
        lips = centre + (memory(windows) - centre) @ self.calibration[FAMILIES.index(heard.voice)]
        return self.rest + heard.amplitude * (lips - self.rest)

    def recognise(self, mean: Float[Tensor, " dim"], std: Float[Tensor, " dim"]) -> Family:
        """Whose voice a sound is, from mean and spread of its features: own within the 99th percentile of the clip's pieces."""
        far = voice_distance(mean[:BANDS], std[:BANDS], self.mel_mean, self.mel_std)
        return "own" if float(far) <= float(self.limit) else "other"


def voice_distance(
    mean: Float[Tensor, "*n mel"],
    std: Float[Tensor, "*n mel"],
    clip_mean: Float[Tensor, " mel"],
    clip_std: Float[Tensor, " mel"],
) -> Float[Tensor, "*n"]:
    """How far mean and spread of a sound's log-mel are from the clip's, in the clip's spreads. Loudness does not count."""
    shift = mean - clip_mean
    shift = (shift - shift.mean(-1, keepdim=True)) / clip_std
    spread = (std / clip_std).clamp_min(1e-3).log()
    return (shift.square().mean(-1) + spread.square().mean(-1)).sqrt()
