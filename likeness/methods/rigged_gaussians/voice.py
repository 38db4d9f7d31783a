"""Voice: sound to the rig's lip coefficients, by small temporal networks over a short window of speech features.

There are two families: *own* hears mel and log phones, *other* only phone probabilities, since another person's timbre
misleads (sound.md: mel alone .37, phone probabilities .53 on other speakers). Each is an average of `count` networks.
Every frame is computed from its own window by convolutions without padding, so that any chunking gives the same.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likeness.audio import ROWS_PER_FRAME, Hearing
from likeness.portrait import Heard
from likeness.rig import LIP_COEFFICIENTS

HEARING = Hearing(("mel", "phones"))
MEL, PHONES = 80, 42
PHONE_FLOOR = 1e-3  # phones are stored as log(p + floor)
WIDTH = 64
FAMILIES: dict[str, int] = {"own": MEL + PHONES, "other": PHONES}
SLOPE = 0.1


class Ensemble(nn.Module):
    """`count` equal networks side by side: two strided convolutions from rows to frames, then convolutions over frames."""

    def __init__(self, count: int, inputs: int, hearing: Hearing = HEARING, width: int = WIDTH) -> None:
        super().__init__()
        self.count = count
        self.strides = (2, 2, 1, 1, 1)
        # From rows (4 a frame) to frames, 4 and 3 wide, the window shrinks by one; the others use up what is left of it.
        left = hearing.past + hearing.future - 1
        third = left - 2 * (left // 3)
        kernels = (4, 3, left // 3 + 1, left // 3 + 1, third + 1)
        widths = (inputs, *([width] * len(kernels)))
        self.convolutions = nn.ModuleList(
            nn.Conv1d(count * a, count * b, k, s, groups=count)
            for a, b, k, s in zip(widths, widths[1:], kernels, self.strides)
        )
        self.out = nn.Conv1d(count * width, count * LIP_COEFFICIENTS, 1, groups=count)

    def forward(
        self, rows: Float[Tensor, "batch nets inputs rows"], dropout: float = 0.0, generator: torch.Generator | None = None
    ) -> Float[Tensor, "batch nets lips time"]:
        """One prediction a network; `dropout` by whole channels, drawn from `generator`."""
        hidden = rows.flatten(1, 2)
        for layer in self.convolutions:
            hidden = nn.functional.leaky_relu(layer(hidden), SLOPE)
            if dropout:
                mask = torch.rand(hidden.shape[:2], generator=generator) >= dropout
                hidden = hidden * (mask / (1 - dropout))[..., None]
        return self.out(hidden).unflatten(1, (self.count, LIP_COEFFICIENTS))


class Voice(nn.Module):
    """Both families with everything they need: statistics of the clip's sound, amplitude, the mouth at rest."""

    phone_mean: Tensor
    phone_std: Tensor
    amplitude: Tensor
    rest: Tensor
    mel_mean: Tensor
    mel_std: Tensor
    limit: Tensor

    def __init__(self, count: int, hearing: Hearing = HEARING) -> None:
        super().__init__()
        self.families = nn.ModuleDict({name: Ensemble(count, inputs, hearing) for name, inputs in FAMILIES.items()})
        self.register_buffer("phone_mean", torch.zeros(len(FAMILIES), PHONES))
        self.register_buffer("phone_std", torch.ones(len(FAMILIES), PHONES))
        self.register_buffer("amplitude", torch.ones(len(FAMILIES), LIP_COEFFICIENTS))
        self.register_buffer("rest", torch.zeros(LIP_COEFFICIENTS))
        self.register_buffer("mel_mean", torch.zeros(MEL))
        self.register_buffer("mel_std", torch.ones(MEL))
        self.register_buffer("limit", torch.ones(1))

    def __len__(self) -> int:
        """Networks in each family."""
        return self.families["own"].count

    def inputs(
        self,
        features: Float[Tensor, "*batch rows dim"],
        mean: Float[Tensor, " dim"],
        std: Float[Tensor, " dim"],
        family: Literal["own", "other"],
    ) -> Float[Tensor, "*batch inputs rows"]:
        """What a family hears of a stream of features. Mel is normalised by the sound's own statistics (a microphone is
        no message), phones by those of the training clip (a sound of silence must not be blown up to phones)."""
        phones = features[..., MEL:]
        if family == "other":
            phones = phones.exp() - PHONE_FLOOR
        index = list(FAMILIES).index(family)
        phones = (phones - self.phone_mean[index]) / self.phone_std[index]
        if family == "other":
            return phones.transpose(-1, -2)
        mel = (features[..., :MEL] - mean[:MEL]) / std[:MEL].clamp_min(1e-3)
        return torch.cat([mel, phones], dim=-1).transpose(-1, -2)

    def predict(self, rows: Float[Tensor, "inputs rows"], family: Literal["own", "other"]) -> Float[Tensor, "time lips"]:
        """The family's average, before amplitude."""
        ensemble = self.families[family]
        return ensemble(rows.expand(1, ensemble.count, -1, -1))[0].mean(0).T

    @torch.no_grad()
    def forward(self, heard: Heard) -> Float[Tensor, "time lips"]:
        """Lip coefficients of the T frames in the middle of the stretch."""
        rows = self.inputs(heard.features.float(), heard.mean.float(), heard.std.float(), heard.voice)
        lips = self.predict(rows, heard.voice) * self.amplitude[list(FAMILIES).index(heard.voice)]
        return self.rest + heard.amplitude * (lips - self.rest)

    def recognise(self, mean: Float[Tensor, " dim"], std: Float[Tensor, " dim"]) -> Literal["own", "other"]:
        """Whose voice a sound is, from the statistics of its log-mel."""
        far = voice_distance(mean[:MEL], std[:MEL], self.mel_mean, self.mel_std)
        return "own" if float(far) <= float(self.limit) else "other"


def voice_distance(
    mean: Float[Tensor, "*n mel"], std: Float[Tensor, "*n mel"], clip_mean: Float[Tensor, " mel"], clip_std: Float[Tensor, " mel"]
) -> Float[Tensor, "*n"]:
    """How far mean and spread of a sound's log-mel are from the clip's, in the clip's spreads. Loudness does not count."""
    shift = (mean - clip_mean) / clip_std
    shift = shift - shift.mean(-1, keepdim=True)
    spread = (std / clip_std).clamp_min(1e-3).log()
    return (shift.square().mean(-1) + spread.square().mean(-1)).sqrt()
