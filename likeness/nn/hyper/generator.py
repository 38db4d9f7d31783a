"""HyperLips' first stage (Chen et al. 2023): a face whose lower half is hidden, and sound, to the whole face."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from likeness.nn.hyper.convolution import HyperConv, HyperNet
from likeness.nn.hyper.cues import Cues
from likeness.nn.hyper.decoder import WIDTHS, FaceDecoder, State, head
from likeness.nn.hyper.ear import ear
from likeness.nn.hyper.settings import GUIDES, KEPT, MADE, SHAPE, SIDE, Settings
from likeness.nn.hyper.trunk import Context, Trunk, divisible

COLORS = 6  # of the crop and of the reference


class BaseGenerator(nn.Module):
    """Trunk over the picture, ear over the sound, hyper-convolutions where they meet, decoder, head.

    Only the settings decide its sizes. In `eval()` every frame depends on its own pictures and cues, and with
    `settings.carried` on the frames before it, on nothing else; so chunks do not show.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        inputs = COLORS + (GUIDES if settings.shaped else 0)
        self.trunk = Trunk(inputs, settings.trunk_width, settings.norm)
        coarse = divisible(settings.decoder_width * WIDTHS[0])
        self.context = Context(self.trunk.channels[-1], coarse, settings.norm)
        self.ear = ear(settings)
        fine = self.trunk.channels[:-1]
        channels = (*fine, coarse)
        shape = SHAPE if settings.shaped else 0
        self.codes = nn.ModuleList(HyperNet(size + shape, even=settings.norm == "group") for size in self.ear.sizes)
        ranks = (0,) * len(fine) + (settings.rank,)
        self.meet = nn.ModuleList(HyperConv(c, settings.form, settings.norm, rank) for c, rank in zip(channels, ranks))
        shuffled = settings.finest == "shuffle"
        top = MADE if shuffled else None
        self.decoder = FaceDecoder(channels, inputs, settings.decoder_width, settings.carried, settings.norm, top)
        self.head = head(self.decoder.outputs, settings.decoder_width, settings.norm, shuffled, settings.warped)

    def forward(
        self,
        crops: Float[Tensor, "batch time 3 128 128"],
        references: Float[Tensor, "batch time 3 128 128"],
        cues: Cues,
        state: State = (),
    ) -> tuple[Float[Tensor, "batch time 3 128 128"], State]:
        """Faces, RGB 0..1 as all pictures here, and the state to give with the frames that follow. Beyond a warped reference
        nothing holds them in 0..1: clamp what is shown.

        Of the crops only the upper `KEPT` rows are looked at. A new scene begins with an empty state. Rows that are not made
        are the crops'.
        """
        time = crops.shape[1]
        seen = [hidden(crops), references]
        heard = self.ear(cues.sound.flatten(0, 1))
        if self.settings.shaped:
            assert cues.shape is not None and cues.sketch is not None
            shape = cues.shape.flatten(0, 1)
            heard = tuple(torch.cat([y, shape], 1) for y in heard)
            seen.append(cues.sketch)
        picture = torch.cat(seen, 2).flatten(0, 1)
        *fine, coarse = self.trunk(picture)
        maps = (*fine, self.context(coarse))
        maps = tuple(meet(x, code(y)) for meet, code, x, y in zip(self.meet, self.codes, maps, heard))
        features, state = self.decoder(maps, picture, time, state)
        made = self.head(features).unflatten(0, (-1, time))
        if self.settings.warped:
            made = references[..., SIDE - made.shape[-2] :, :] + made
        return torch.cat([crops[..., : SIDE - made.shape[-2], :], made], -2), state


def hidden(crops: Float[Tensor, "*batch 3 128 128"]) -> Float[Tensor, "*batch 3 128 128"]:
    """Crops whose rows from `KEPT` on are black, whatever was there."""
    return F.pad(crops[..., :KEPT, :], (0, 0, 0, SIDE - KEPT))
