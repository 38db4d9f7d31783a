"""HyperLips' first stage (Chen et al. 2023): a face whose lower half is hidden, and sound, to the whole face."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from likeness.nn.hyper.convolution import HyperConv, HyperNet
from likeness.nn.hyper.decoder import WIDTHS, FaceDecoder, State, head
from likeness.nn.hyper.ear import ear
from likeness.nn.hyper.settings import KEPT, SIDE, Settings
from likeness.nn.hyper.trunk import Context, Trunk, divisible

INPUTS = 6  # colours of the crop and of the reference


class BaseGenerator(nn.Module):
    """Trunk over the picture, ear over the sound, hyper-convolutions where they meet, decoder, head.

    Only the settings decide its sizes. In `eval()` every frame depends on its own pictures and sound, and with
    `settings.carried` on the frames before it, on nothing else; so chunks do not show.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.trunk = Trunk(INPUTS, settings.trunk_width)
        coarse = divisible(settings.decoder_width * WIDTHS[0])
        self.context = Context(self.trunk.channels[-1], coarse)
        self.ear = ear(settings)
        fine = self.trunk.channels[:-1]
        channels = (*fine, coarse)
        self.codes = nn.ModuleList(HyperNet(size, even=settings.norm == "group") for size in self.ear.sizes)
        ranks = (0,) * len(fine) + (settings.rank,)
        self.meet = nn.ModuleList(HyperConv(c, settings.form, settings.norm, rank) for c, rank in zip(channels, ranks))
        self.decoder = FaceDecoder(channels, INPUTS, settings.decoder_width, settings.carried)
        self.head = head(self.decoder.outputs, settings.decoder_width)

    def forward(
        self,
        crops: Float[Tensor, "batch time 3 128 128"],
        references: Float[Tensor, "batch time 3 128 128"],
        sound: Float[Tensor, "batch time columns 20"],
        state: State = (),
    ) -> tuple[Float[Tensor, "batch time 3 128 128"], State]:
        """Faces, RGB 0..1 as all pictures here, and the state to give with the frames that follow.

        Of the crops only the upper 64 rows are looked at. `sound` is what `hearing.normalised` gives. A new scene begins
        with an empty state.
        """
        time = crops.shape[1]
        picture = torch.cat([hidden(crops), references], 2).flatten(0, 1)
        *fine, coarse = self.trunk(picture)
        maps = (*fine, self.context(coarse))
        heard = self.ear(sound.flatten(0, 1))
        maps = tuple(meet(x, code(y)) for meet, code, x, y in zip(self.meet, self.codes, maps, heard))
        features, state = self.decoder(maps, picture, time, state)
        return self.head(features).unflatten(0, (-1, time)), state


def hidden(crops: Float[Tensor, "*batch 3 128 128"]) -> Float[Tensor, "*batch 3 128 128"]:
    """Crops whose rows from 64 on are black, whatever was there."""
    return F.pad(crops[..., :KEPT, :], (0, 0, 0, SIDE - KEPT))
