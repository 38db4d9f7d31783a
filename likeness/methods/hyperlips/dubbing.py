"""Lips for any video: the networks behind `likeness.dub.Lips`."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likeness.dub.lips import Crops, Said
from likeness.errors import BadInput
from likeness.nn.hyper import asset
from likeness.nn.hyper.bank import Bank
from likeness.nn.hyper.decoder import State
from likeness.nn.hyper.lipnet import Heads, LipNet
from likeness.nn.hyper.mouth import choose
from likeness.nn.hyper.settings import SHAPE
from likeness.nn.hyper.sketch import UPPER
from likeness.nn.hyper.warp import control
from likeness.portrait import FORMAT, read_header

LITTLE = 25
"""Frames of sound whose mean shape is half believed to be the voice's own, not that of what is said."""
REFERENCES = 25
"""As many as IP_LAP has."""


class Carried(NamedTuple):
    """What goes from call to call."""

    memory: State
    reference: int


class HyperLips:
    """A `likeness.dub.Lips`."""

    def __init__(self, net: LipNet) -> None:
        self.net, self.size, self.hearing, self.references = net.eval(), net.size, net.hearing, REFERENCES
        self._known: tuple[Crops, Bank] | None = None
        self._usual: tuple[Tensor, Tensor] | None = None

    @torch.inference_mode()
    def __call__(
        self, faces: Crops, references: Crops, said: Said, state: Carried | None
    ) -> tuple[Float[Tensor, "n size size 3"], Carried]:
        """See `Lips`. A mouth speaks about its person's usual shape, as lively as theirs; in silence it rests."""
        net, size = self.net, self.size
        bank = self._bank(references)
        person = bank.person
        spoken = person.centre + person.lively * (net.foretold(said.features, said.mean) - self._usually(said))
        shape = person.rest + said.activity[:, None] * (spoken - person.rest)
        points = faces.points / size
        mouths = net.mouth.points(shape, points, person)
        before, pictures = None if state is None else state.reference, []
        for turned, mouth, face in zip(net.mouth.turned(points, person), mouths, points):
            before = choose((turned, mouth), bank.looks, before)
            pictures.append(bank.picture(before, control(face, mouth)))
        assert before is not None
        heads = Heads(
            _pictures(faces.images),
            _pictures(torch.from_numpy(np.stack(pictures))),
            net.near(said.features)[None],
            shape[None],
            mouths[None],
            points[None, :, list(UPPER)],
        )
        made = net(heads, () if state is None else state.memory)
        assert made.pictures is not None
        return made.pictures[0].clamp(0, 1).permute(0, 2, 3, 1), Carried(made.state, before)

    def _usually(self, said: Said) -> Float[Tensor, " shape"]:
        """The mean shape at this sound, less where there is little of it: about it a person's mouth is as it usually is,
        whatever a voice's timbre says. Worked out when it is first heard."""
        if self._usual is None or self._usual[0] is not said.usual:
            count = len(said.usual)
            shapes = self.net.foretold(said.usual, said.mean) if count else torch.zeros(1, SHAPE)
            self._usual = said.usual, shapes.mean(0) * count / (count + LITTLE)
        return self._usual[1]

    def _bank(self, references: Crops) -> Bank:
        """What the bank says of the person; worked out when it is first seen."""
        if self._known is None or self._known[0] is not references:
            if not len(references.points):
                raise BadInput("no picture of the face was found to take as a reference.")
            points = references.points / self.size
            images = list(references.images.numpy())
            self._known = references, Bank(self.net, images, points, self.net.mouth.person(points))
        return self._known[1]


def load_lips(path: Path) -> HyperLips:
    """The lips of a file: those of many people (`likeness pretrain hyperlips`) or of a portrait.

    Raises BadInput and Refused for files that do not fit.
    """
    try:
        asset.KIND.read_header(path)
    except BadInput as error:
        try:
            header = read_header(path)
        except BadInput:
            raise error from None
        if header["format"] != FORMAT or header["method"] != "hyperlips":
            raise BadInput(
                f"{path}: a portrait of {header['method']}, which has no lips for a video. Train hyperlips."
            ) from None
        from likeness.methods import load

        return HyperLips(load(path).net)  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]
    return HyperLips(asset.load(path))


def _pictures(images: Float[Tensor, "n size size 3"]) -> Float[Tensor, "1 n 3 size size"]:
    return images.permute(0, 3, 1, 2).contiguous()[None]
