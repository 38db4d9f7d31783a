"""Speaker: a portrait's voice that also knows how people in general speak.

It holds a frozen generator of generic motion, the person's own `Voice`, and adapters from generic motion to the person's lips.
Each family, own and other voices, is spoken by one *source*:

    voice        the person's own network alone
    ridge        generic motion through the ridge adapter
    both         the mean of these two
    projection   generic motion in the person's range, projected onto what the person was seen to do
    postnet      generic motion through the post-net, where one was trained

Like `Voice` it turns `Heard` into lip coefficients, frame by frame of the stretch; its `hearing` covers all that is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likeness.audio import Hearing
from likeness.errors import BadInput
from likeness.nn.adaptation.person import Reading, flat
from likeness.nn.adaptation.postnet import CONTEXT, PostNet
from likeness.nn.adaptation.ranged import Ranged
from likeness.nn.adaptation.ridge import Ridge
from likeness.nn.chain import radius, smoothed
from likeness.nn.generator.model import Generator
from likeness.nn.generator.settings import from_dictionary
from likeness.nn.voice import HEARING, Family, Voice
from likeness.portrait import Heard
from likeness.speech import RECIPES

Source = Literal["voice", "ridge", "both", "projection", "postnet"]
SOURCES: tuple[Source, ...] = ("voice", "ridge", "both", "projection", "postnet")


class Adapted(nn.Module):
    """The post-net, and the rig's lips read off what it makes."""

    past, future = CONTEXT, CONTEXT

    def __init__(self) -> None:
        super().__init__()
        self.net = PostNet()
        self.reading = Reading()

    @torch.no_grad()
    def forward(self, moves: Float[Tensor, "stretch width"]) -> Float[Tensor, "time lips"]:
        return self.reading(self.net(moves[None])[0])


class Speaker(nn.Module):
    """See the module. `own` and `other`: the sources of the families; `sigma`: smoothing along time, in frames."""

    def __init__(
        self,
        voice: Voice,
        generator: Generator,
        manifold: int,
        chosen: Mapping[Family, Source],
        sigma: float = 0.0,
        postnet: bool = False,
    ) -> None:
        """`manifold`: rows that the projection holds; `postnet`: whether there is one. Raises BadInput for another source."""
        super().__init__()
        self.voice, self.generator = voice, generator.eval().requires_grad_(False)
        self.ridge, self.projection = Ridge(), Ranged(manifold)
        self.postnet = Adapted().eval().requires_grad_(False) if postnet else None
        self.chosen: dict[Family, Source] = dict(chosen)
        self.sigma = sigma
        for family, source in self.chosen.items():
            if source not in self.sources:
                raise BadInput(f"the {family} voice cannot be spoken by {source!r}; there are {', '.join(self.sources)}.")

    @property
    def sources(self) -> tuple[Source, ...]:
        """All that it could be spoken by."""
        return SOURCES if self.postnet is not None else SOURCES[:-1]

    @property
    def hearing(self) -> Hearing:
        """All that the chosen sources hear."""
        used = [self.heard_by(source) for source in self.chosen.values()]
        names = dict.fromkeys(name for hearing in (HEARING, *used) for name in hearing.features)
        more = radius(self.sigma)
        return Hearing(tuple(names), more + max(h.past for h in used), more + max(h.future for h in used))

    @property
    def widest(self) -> Hearing:
        """All that any source hears, without smoothing: for trying them beside each other."""
        used = [self.heard_by(source) for source in self.sources]
        names = dict.fromkeys(name for hearing in (HEARING, *used) for name in hearing.features)
        return Hearing(tuple(names), max(h.past for h in used), max(h.future for h in used))

    def heard_by(self, source: Source) -> Hearing:
        """What one source hears."""
        if source == "voice":
            return HEARING
        generic = self.generator.hearing
        if source == "both":
            alone = self.heard_by("ridge")
            return replace(alone, past=max(alone.past, HEARING.past), future=max(alone.future, HEARING.future))
        adapter = self.adapter(source)
        return replace(generic, past=generic.past + adapter.past, future=generic.future + adapter.future)

    def adapter(self, source: Source) -> Ridge | Ranged | Adapted:
        """What brings generic motion to the person's lips."""
        found = {"ridge": self.ridge, "projection": self.projection, "postnet": self.postnet}[source]
        assert found is not None
        return found

    def __len__(self) -> int:
        return len(self.voice)

    @torch.no_grad()
    def forward(self, heard: Heard) -> Float[Tensor, "time lips"]:
        """Lip coefficients of the T frames in the middle of the stretch; `heard.amplitude` is round the mouth at rest."""
        more = radius(self.sigma)
        wide = replace(self.hearing, past=self.hearing.past - more, future=self.hearing.future - more)
        lips = self.said(self.chosen[heard.voice], replace(heard, start=heard.start - more), wide)
        rest = self.voice.rest
        return rest + heard.amplitude * (smoothed(lips, self.sigma) - rest)

    @torch.no_grad()
    def said(self, source: Source, heard: Heard, hearing: Hearing) -> Float[Tensor, "time lips"]:
        """What a source makes of a stretch that was cut by `hearing`, at full amplitude, not smoothed."""
        if source == "both":
            return (self.said("voice", heard, hearing) + self.said("ridge", heard, hearing)) / 2
        near = within(heard, hearing, self.heard_by(source))
        if source == "voice":
            return self.voice(replace(near, amplitude=1.0))
        adapter = self.adapter(source)
        moves = self.generator.moves(near.features, near.mean, near.std, near.start - adapter.past, near.temperature, near.seed)
        return adapter(flat(moves))

    def recognise(self, mean: Float[Tensor, " dim"], std: Float[Tensor, " dim"]) -> Family:
        """As `Voice.recognise`."""
        return self.voice.recognise(mean, std)

    def sizes(self) -> dict[str, Any]:
        """What `blank` needs, as JSON can hold it."""
        return {
            "voice": len(self.voice),
            "generator": asdict(self.generator.settings),
            "origin": self.generator.origin,
            "manifold": len(self.projection.manifold),
            "chosen": dict(self.chosen),
            "sigma": self.sigma,
            "postnet": self.postnet is not None,
        }

    @staticmethod
    def blank(sizes: Mapping[str, Any]) -> Speaker:
        """A speaker of these sizes; its tensors are still to be filled. Raises BadInput for sizes that are none."""
        try:
            generator = Generator(from_dictionary(dict(sizes["generator"])))
            generator.origin = str(sizes["origin"])
            count, manifold = int(sizes["voice"]), int(sizes["manifold"])
            return Speaker(Voice(count), generator, manifold, sizes["chosen"], float(sizes["sigma"]), bool(sizes["postnet"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadInput(f"the portrait's speaker cannot be laid out ({error!r}). Train it again.") from error


def within(heard: Heard, wide: Hearing, narrow: Hearing) -> Heard:
    """A stretch that was cut by `wide` as `narrow` would have cut it: fewer rows and columns."""
    rows = wide.rows_per_frame
    first, last = (wide.past - narrow.past) * rows, (wide.future - narrow.future) * rows
    at, columns = 0, {}
    for name in wide.features:
        columns[name] = range(at, at + RECIPES[name].dim)
        at += RECIPES[name].dim
    chosen = torch.tensor([column for name in narrow.features for column in columns[name]])
    features = heard.features[first : len(heard.features) - last][:, chosen]
    return replace(heard, features=features, mean=heard.mean[chosen], std=heard.std[chosen])


def blank_voice(sizes: int | Mapping[str, Any]) -> Voice | Speaker:
    """The voice of a portrait file: of so many keys, or a speaker's."""
    return Voice(sizes) if isinstance(sizes, int) else Speaker.blank(sizes)


def sizes_of(voice: Voice | Speaker) -> int | dict[str, Any]:
    """What `blank_voice` needs."""
    return len(voice) if isinstance(voice, Voice) else voice.sizes()
