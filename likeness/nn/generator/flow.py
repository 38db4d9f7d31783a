"""The prior: a normalising flow from white noise to latents that hang together over time and on what is heard.

Mean-only couplings with channel flips (Dinh et al. 2015, as in GeneFace): the log-determinant is 0. No layer pads, so both
directions give fewer latents than they get, by `reach`; where both exist, one undoes the other.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likeness.nn.generator.layers import NOWHERE, Gated, Reach, total, trim
from likeness.nn.generator.settings import Settings


class Coupling(nn.Module):
    """The second half of the channels moves by what the first half and the condition say."""

    def __init__(self, settings: Settings, condition: int, ahead: int | None) -> None:
        super().__init__()
        half, width = settings.latent // 2, settings.flow_width
        dilations = [settings.dilation_base**i for i in range(settings.flow_layers)]
        self.before = nn.Conv1d(half, width, 1)
        self.stack = Gated(width, condition, settings.flow_kernel, dilations, ahead)
        self.after = nn.Conv1d(width, half, 1)
        for parameter in self.after.parameters():
            nn.init.zeros_(parameter)

    def shift(
        self, still: Float[Tensor, "batch half long"], condition: Float[Tensor, "batch cond heard"]
    ) -> Float[Tensor, "batch half short"]:
        return self.after(self.stack(self.before(still), condition))


class Flow(nn.Module):
    """Couplings, and the channels flipped after each."""

    def __init__(self, settings: Settings, condition: int) -> None:
        super().__init__()
        count, ahead = settings.flows, settings.flow_ahead
        shares = [None if ahead is None else (ahead + i) // count for i in range(count)]
        self.couplings = nn.ModuleList(Coupling(settings, condition, share) for share in shares)

    @property
    def _parts(self) -> list[Coupling]:
        return [coupling for coupling in self.couplings if isinstance(coupling, Coupling)]

    @property
    def reaches(self) -> list[Reach]:
        return [coupling.stack.reach for coupling in self._parts]

    @property
    def reach(self) -> Reach:
        """On the other side, in latents; the same in both directions."""
        return total(self.reaches)

    @property
    def first(self) -> Reach:
        """What the condition lacks against latents that come from noise: the first layer that noise goes through."""
        return self._parts[-1].stack.reaches[0] if self._parts else NOWHERE

    @property
    def heard_reach(self) -> Reach:
        """Of latents that come from noise on the condition."""
        return Reach(self.reach.before - self.first.before, self.reach.after - self.first.after)

    def noise(
        self, z: Float[Tensor, "batch latent long"], condition: Float[Tensor, "batch cond long"]
    ) -> Float[Tensor, "batch latent short"]:
        """The noise that latents would come from."""
        for coupling in self._parts:
            stack = coupling.stack
            still, moved = z.chunk(2, 1)
            moved = trim(moved, stack.reach) + coupling.shift(still, trim(condition, stack.reaches[0]))
            z = _joined(trim(still, stack.reach), moved).flip(1)
            condition = trim(condition, stack.reach)
        return z

    def latents(
        self, noise: Float[Tensor, "batch latent long"], condition: Float[Tensor, "batch cond heard"]
    ) -> Float[Tensor, "batch latent short"]:
        """Latents from noise; `condition` lacks what `first` says."""
        z, order = noise, self._parts[::-1]
        for i, coupling in enumerate(order):
            still, moved = z.flip(1).chunk(2, 1)
            moved = trim(moved, coupling.stack.reach) - coupling.shift(still, condition)
            z = _joined(trim(still, coupling.stack.reach), moved)
            if i + 1 < len(order):  # from behind this coupling's first layer to behind the next one's
                condition = trim(trim(condition, coupling.stack.heard_reach), order[i + 1].stack.reaches[0])
        return z


def _joined(still: Tensor, moved: Tensor) -> Tensor:
    return torch.cat([still, moved], 1)
