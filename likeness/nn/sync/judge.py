"""What every sync expert is, whatever it sees of the lips: a judge of pairs, alike where both belong together."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


@runtime_checkable
class Spoken(Protocol):
    """A stretch in which somebody speaks, as a judge needs it."""

    @property
    def speaker(self) -> str: ...

    def __len__(self) -> int:
        """Frames."""
        ...

    def part(self, first: int, frames: int) -> Any: ...


class Judge(nn.Module):
    """Windows of lips and of sound to unit vectors. `frozen`: neither weights nor statistics change any more, whatever a
    module that holds it does; gradients still reach the lips."""

    def __init__(self, frames: int, cosine: bool) -> None:
        """`frames` of a window. `cosine`: a cosine is itself the probability that both belong together (vectors without
        negative numbers, as the papers'); else it is that of a logistic curve."""
        super().__init__()
        self.frames, self.cosine = frames, cosine
        self.frozen = False
        self.chance: dict[str, float] = {}
        """What sound of other people reaches in 5 % of cases, times the root of the windows: margin and confidence."""
        self.id = ""
        """Of the file it came from."""
        self.slope = nn.Parameter(torch.tensor(10.0).log())
        self.bias = nn.Parameter(torch.tensor(-3.0))

    def seen(self, track: Any) -> Float[Tensor, "windows dim"]:
        """Unit vectors of a track's lips."""
        raise NotImplementedError

    def heard(self, track: Any) -> Float[Tensor, "windows dim"]:
        """Unit vectors of its sound."""
        raise NotImplementedError

    def surprise(self, alike: Float[Tensor, "*n"], matched: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """Binary cross-entropy of cosines, by what the pairs are (1 matched, 0 not)."""
        if self.cosine:
            return F.binary_cross_entropy(alike.clamp(1e-6, 1 - 1e-6), matched, reduction="none")
        return F.binary_cross_entropy_with_logits(self.slope.exp() * alike + self.bias, matched, reduction="none")

    def windows(self, rows: Float[Tensor, "time *shape"]) -> Float[Tensor, "windows frames *shape"]:
        """Every window of frames of a stretch; window t begins with frame t. A view."""
        return rows.unfold(0, self.frames, 1).movedim(-1, 1)

    def freeze(self) -> Any:
        """For good."""
        self.frozen = True
        return self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Any:
        return super().train(mode and not self.frozen)
