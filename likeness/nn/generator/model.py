"""The motion generator of GeneFace (Ye et al. 2023): speech to the motion of a generic face, as a conditional variational
autoencoder whose prior is a normalising flow.

    posterior  q(z | l, a)   motion and sound to latents: learning only, may see everything
    prior      f(z; a)       white noise to latents, through the sound
    decoder    p(l | z, a)   latents and sound to motion
    recall                   what people did when it sounded so (ours): the likeliest motion, around which the network varies

No layer of prior and decoder pads (`likeness.nn.generator.layers`): a frame depends on `hearing`, on the seed, and on where
latents begin, which is at multiples of the stride in the sound, so that any chunking gives the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likeness.audio import Hearing
from likeness.errors import BadInput
from likeness.nn.generator import recall
from likeness.nn.generator.flow import Flow
from likeness.nn.generator.hearing import Ears, columns
from likeness.nn.generator.layers import Gated, Reach, total, trim, widest
from likeness.nn.generator.noise import noise
from likeness.nn.generator.recall import Recall
from likeness.nn.generator.settings import Settings

POINTS = 68
OUT = 3 * POINTS


class Span:
    """Frames or latents first .. last-1, counted from the beginning of the sound."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last

    def __len__(self) -> int:
        return self.last - self.first

    def wider(self, reach: Reach) -> Span:
        """With everything that a layer of this reach needs for it."""
        return Span(self.first - reach.before, self.last + reach.after)

    def latents(self, stride: int) -> Span:
        """The latents of these frames."""
        return Span(self.first // stride, -(-self.last // stride))

    def frames(self, stride: int) -> Span:
        """All frames of these latents."""
        return Span(self.first * stride, self.last * stride)

    def of(self, x: Tensor, origin: int) -> Tensor:
        """These out of x [batch channels time], which begins at `origin`."""
        assert self.first >= origin and self.last - origin <= x.shape[-1]
        return x[..., self.first - origin : self.last - origin]


@dataclass(frozen=True)
class Draft:
    """What one pass of learning gives, for frames 0 .. T-1 of each crop."""

    moves: Float[Tensor, "batch time 68 3"]
    kl: Float[Tensor, "batch latents"]
    """Monte-Carlo estimate of the divergence from the prior in nats, mean over a latent's numbers."""
    latents: Span
    """Which latents `kl` is of."""


class Posterior(nn.Module):
    """Motion and sound to mean and log spread of latents; zeros beyond both ends, as it never runs in chunks."""

    def __init__(self, settings: Settings, condition: int) -> None:
        super().__init__()
        width, stride = settings.width, settings.stride
        dilations = [settings.dilation_base**i for i in range(settings.posterior_layers)]
        self.pad = stride // 2 if stride > 1 else 0
        self.before = nn.Conv1d(OUT, width, 2 * stride if stride > 1 else 1, stride=stride, padding=self.pad)
        self.stack = Gated(width, condition, settings.kernel, dilations, None)
        self.after = nn.Conv1d(width, 2 * settings.latent, 1)

    def forward(
        self, moves: Float[Tensor, "batch 204 frames"], condition: Float[Tensor, "batch cond latents"]
    ) -> tuple[Float[Tensor, "batch latent latents"], Float[Tensor, "batch latent latents"]]:
        reach, heard = self.stack.reach, self.stack.heard_reach
        x = nn.functional.pad(self.before(moves), (reach.before, reach.after))
        x = self.stack(x, nn.functional.pad(condition, (heard.before, heard.after)))
        mean, log_spread = self.after(x).chunk(2, 1)
        return mean, log_spread.clamp(-8, 4)


class Decoder(nn.Module):
    """Latents and sound to motion."""

    def __init__(self, settings: Settings, condition: int) -> None:
        super().__init__()
        dilations = [settings.dilation_base**i for i in range(settings.decoder_layers)]
        self.up = nn.ConvTranspose1d(settings.latent, settings.width, settings.stride, stride=settings.stride)
        self.stack = Gated(settings.width, condition, settings.kernel, dilations, settings.decoder_ahead)
        self.out = nn.Conv1d(settings.width, OUT, 1)

    def forward(
        self, z: Float[Tensor, "batch latent latents"], condition: Float[Tensor, "batch cond heard"], cut: Reach
    ) -> Float[Tensor, "batch time 68 3"]:
        """`cut`: frames of the first and last latent that are not needed."""
        made = self.out(self.stack(trim(self.up(z), cut), condition))
        return made.transpose(1, 2).unflatten(-1, (POINTS, 3))


class Generator(nn.Module):
    """Speech features to the motion of 68 landmarks, centimetres from the person's mean face (`likeness.displacement`)."""

    origin = ""
    """Digest of the file that it was read from."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        settings.check()
        self.settings = settings
        self.ears = Ears(settings)
        self.prior = Flow(settings, self.ears.width)
        self.posterior = Posterior(settings, self.ears.width)
        self.decoder = Decoder(settings, self.ears.width)
        self.recall = Recall(settings) if settings.keys else None
        if self.recall is not None:
            nn.init.zeros_(self.decoder.out.weight)  # at first there is nothing beside the recall
            nn.init.zeros_(self.decoder.out.bias)  # pyright: ignore[reportArgumentType]
        reach = self._reach() if self.recall is None else widest(self._reach(), recall.REACH)
        self.hearing = Hearing(settings.features, reach.before, reach.after)

    def _reach(self) -> Reach:
        """Of the output on the sound, in frames: by way of the prior, or of the decoder alone; latents may begin anywhere."""
        stride, stack = self.settings.stride, self.decoder.stack
        loose = Reach(stride - 1, stride - 1)
        prior = Reach(*(stride * frames for frames in self.prior.heard_reach))
        by_prior = total([stack.reach, loose, prior, self.ears.latent_reach])
        direct = stack.heard_reach
        return widest(by_prior, direct).plus(self.ears.reach)

    def moves(
        self,
        features: Float[Tensor, "rows dim"],
        mean: Float[Tensor, " dim"],
        std: Float[Tensor, " dim"],
        start: int = 0,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> Float[Tensor, "time 68 3"]:
        """Displacement in centimetres of the T frames in the middle of a stretch of hearing.past + T + hearing.future frames.

        mean, std: of the whole sound, as in `portrait.Heard`. start: number of the first of the T frames in the sound, on
        which noise and latents hang. temperature: spread of the noise, 0 the likeliest motion. Raises BadInput for a stretch
        that is too short or of other features.
        """
        rows, need = self.hearing.rows_per_frame, self.hearing.past + self.hearing.future
        frames = len(features) // rows
        if features.shape[1] != self.settings.dim or len(features) % rows or frames <= need:
            raise BadInput(
                f"the motion generator was given {list(features.shape)} speech features; it hears "
                f"{' + '.join(self.settings.features)}, [{rows} times more than {need} frames, {self.settings.dim}]."
            )
        was = self.training
        self.eval()
        with torch.no_grad():
            heard = columns(features, mean.float(), std.float(), self.settings)[None]
            made = self._perform(heard, start, temperature, seed)[0]
        self.train(was)
        return made

    def _perform(
        self, heard: Float[Tensor, "1 frames columns"], start: int, temperature: float, seed: int
    ) -> Float[Tensor, "1 time 68 3"]:
        wanted = Span(start, start + heard.shape[1] - self.hearing.past - self.hearing.future)
        condition, origin = self.ears(heard), start - self.hearing.past + self.ears.reach.before

        def made(temperature: float) -> Tensor:
            z, latents = self._imagine(condition, origin, wanted, temperature, seed)
            return self._decode(z, latents, condition, origin, wanted)

        if self.recall is None:
            return made(temperature)
        near = wanted.wider(recall.REACH).of(heard.transpose(1, 2), start - self.hearing.past)
        usual = self.recall(near[0].T)[None]
        # What the network always adds is worse than nothing (opening r .518 against .534, people left out): it varies alone.
        return usual + made(temperature) - made(0.0) if temperature else usual

    def _imagine(
        self, condition: Float[Tensor, "1 cond frames"], origin: int, wanted: Span, temperature: float, seed: int
    ) -> tuple[Float[Tensor, "1 latent latents"], Span]:
        """The latents for these frames, out of the prior."""
        latents = wanted.wider(self.decoder.stack.reach).latents(self.settings.stride)
        drawn, heard = latents.wider(self.prior.reach), latents.wider(self.prior.heard_reach)
        white = torch.zeros(self.settings.latent, len(drawn))
        if temperature:
            white = temperature * noise(seed, drawn.first, drawn.last, self.settings.latent)
        return self.prior.latents(white[None].to(condition), self._slow(condition, origin, heard)), latents

    def _slow(self, condition: Float[Tensor, "batch cond frames"], origin: int, latents: Span) -> Tensor:
        """The condition at the latents' rate."""
        frames = latents.frames(self.settings.stride).wider(self.ears.latent_reach)
        return self.ears.slow(frames.of(condition, origin))

    def _decode(
        self, z: Float[Tensor, "batch latent latents"], latents: Span, condition: Tensor, origin: int, wanted: Span
    ) -> Float[Tensor, "batch time 68 3"]:
        stack = self.decoder.stack
        need, have = wanted.wider(stack.reach), latents.frames(self.settings.stride)
        cut = Reach(need.first - have.first, have.last - need.last)
        return self.decoder(z, wanted.wider(stack.heard_reach).of(condition, origin), cut)

    def forward(
        self,
        heard: Float[Tensor, "batch frames columns"],
        moves: Float[Tensor, "batch frames 68 3"],
        white: Float[Tensor, "batch latent latents"],
    ) -> Draft:
        """Learning: crops with the context of `hearing` on both sides through the posterior and back.

        Frame `hearing.past` of a crop counts as 0. white: standard normal numbers, at least as many latents as frames.
        """
        stride, past, future = self.settings.stride, self.hearing.past, self.hearing.future
        wanted = Span(0, heard.shape[1] - past - future)
        condition, origin = self.ears(heard), self.ears.reach.before - past
        room = Span(
            origin + self.ears.latent_reach.before, wanted.last + future - self.ears.reach.after - self.ears.latent_reach.after
        )
        known = Span(-(-room.first // stride), room.last // stride)
        slow = self._slow(condition, origin, known)
        seen = known.frames(stride).of(moves.flatten(2).transpose(1, 2), -past)
        mean, log_spread = self.posterior(seen, slow)
        epsilon = white[..., : len(known)]
        z = mean + log_spread.exp() * epsilon
        needed = wanted.wider(self.decoder.stack.reach).latents(stride)
        made = self._decode(needed.of(z, known.first), needed, condition, origin, wanted)
        inner = Span(known.first + self.prior.reach.before, known.last - self.prior.reach.after)
        told = trim(-log_spread - 0.5 * epsilon.square(), self.prior.reach)
        kl = told + 0.5 * self.prior.noise(z, slow).square()  # the constants of both densities cancel
        core = wanted.latents(stride)
        counted = Span(max(inner.first, core.first), min(inner.last, core.last))
        return Draft(made, counted.of(kl, inner.first).mean(1), counted)
