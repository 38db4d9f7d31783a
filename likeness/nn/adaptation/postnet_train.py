"""Training of the post-net: semi-supervised and adversarial, as GeneFace has it, on one person in minutes.

Each step: generic motion r to some sound and, by the net P, P(r); generic motion r_p to the person's own sound, beside what the
person did, g_p. The net minimises .85 mean (1 - D(P(r)))² + .05 mse(P(r_p), g_p) + .1 sync(P(r)), the critic D
mean D(P(r))² + mean (D(g_p) - 1)². Errors are in the person's own spread, so that the weights mean the same for everybody.

Rates are those that the original trains with: 5e-4 for the net (its settings say 1e-4, which its scheduler overrides), 1e-4 for
the critic. They follow from the step alone and the curve is part of the checkpoint: a run that was killed goes on exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from likeness.errors import BadInput
from likeness.nn.adaptation import choice
from likeness.nn.adaptation.person import Person, check, mouth_opening
from likeness.nn.adaptation.postnet import CONTEXT, Critic, PostNet
from likeness.nn.voice_train import BLOCKS, GAP
from likeness.run import Run, optimiser_state, restore_optimiser

STAGE = "postnet"
MOMENTUM = 0.98  # a step, of the running means of the critic's verdicts
EVALUATED = 1500  # generic frames that an evaluation looks at


@dataclass(frozen=True)
class Settings:
    """Of the training."""

    steps: int = 1500
    every: int = 50
    """Steps between evaluations."""
    batch: int = 16
    frames: int = 32
    """Of a piece, of generic motion and of the person's."""
    rate: float = 5e-4
    critic_rate: float = 1e-4
    warm_up: int = 100
    """Steps; the original has 1000, of 20 000."""
    adversarial: float = 0.85
    reconstruction: float = 0.05
    sync: float = 0.1
    seed: int = 0


@dataclass(frozen=True)
class Track:
    """A person's clip as the training sees it."""

    generic: Float[Tensor, "stretch width"]
    """Generic motion to all of the clip's sound, CONTEXT frames longer on both sides, centimetres."""
    person: Person

    def split(self) -> tuple[Int[np.ndarray, " learned"], Int[np.ndarray, " validated"]]:
        """Places among the person's frames: the last of BLOCKS is validated, GAP frames before it belong to neither."""
        validated = np.array_split(np.arange(len(self.person.frames)), BLOCKS)[-1]
        first = self.person.frames[validated[0]]
        return np.flatnonzero(self.person.frames < first - GAP), validated


Sync = Callable[[Float[Tensor, "batch time width"], Sequence[tuple[int, int]]], Float[Tensor, ""]]
"""An expert's loss: of adapted pieces of mouth and jaw, and of each the number of its sound and its first frame."""


class Training:
    """Everything that the next step depends on."""

    def __init__(self, track: Track, sounds: Sequence[Float[Tensor, "_ width"]], settings: Settings, sync: Sync | None) -> None:
        self.track, self.settings, self.sync = track, settings, sync
        self.sounds = [sound for sound in sounds if len(sound) >= settings.frames + 2 * CONTEXT]
        if not self.sounds:
            raise BadInput(
                f"no sound is long enough for the post-net: {settings.frames + 2 * CONTEXT} frames are needed in one piece."
            )
        check(torch.cat(self.sounds), "the generic motion")  # one of silence alone may stand still
        check(track.person.moves, "the clip")
        self.learned, self.validated = track.split()
        if len(self.learned) < settings.frames:
            raise BadInput(f"only {len(self.learned)} frames are left for the post-net: use a longer clip.")
        scale = track.person.moves[torch.from_numpy(self.learned)].std(0).square().mean().sqrt()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.net, self.critic = PostNet(), Critic()
        self.net.scale.fill_(float(scale))
        self.critic.scale.fill_(float(scale))
        self.best = {key: value.clone() for key, value in self.net.state_dict().items()}
        self.optimisers = {
            "net": torch.optim.RMSprop(self.net.parameters(), settings.rate),
            "critic": torch.optim.RMSprop(self.critic.parameters(), settings.critic_rate),
        }
        self.verdicts = torch.full((2,), 0.5, dtype=torch.float64)  # undecided: whoever has done nothing is not blamed
        self.curve = torch.zeros(0, len(choice.COLUMNS), dtype=torch.float64)
        targets = torch.zeros(int(track.person.frames[-1]) + 1, dtype=torch.long) - 1
        targets[torch.from_numpy(track.person.frames[self.learned])] = torch.from_numpy(self.learned)
        self.place_of = targets

    def step(self, number: int, random: np.random.Generator) -> dict[str, Tensor]:
        """One step of the net and one of the critic."""
        s = self.settings
        chance = torch.Generator().manual_seed(int(random.integers(2**62)))
        for name, rate in zip(self.optimisers, rates(s, number)):
            self.optimisers[name].param_groups[0]["lr"] = rate
        pieces = self._pieces(random)
        adapted = self.net(torch.stack([self.sounds[i][a : a + s.frames + 2 * CONTEXT] for i, a in pieces]))
        fooled = (1 - self.critic(adapted.flatten(0, 1), chance)).square().mean()
        error = self._reconstruction(random)
        loss = s.adversarial * fooled + s.reconstruction * error
        if self.sync is not None:
            loss = loss + s.sync * self.sync(adapted, pieces)
        self._descend("net", self.net, loss)
        own = self.track.person.moves[torch.from_numpy(random.choice(self.learned, s.batch * s.frames))]
        of_own = self.critic(own, chance)
        of_adapted = self.critic(adapted.detach().flatten(0, 1), chance)
        self._descend("critic", self.critic, of_adapted.square().mean() + (of_own - 1).square().mean())
        now = torch.stack([of_own.mean(), of_adapted.mean()]).detach().double()
        self.verdicts = MOMENTUM * self.verdicts + (1 - MOMENTUM) * now
        return {"fooled": fooled.detach(), "error": error.detach(), "own": now[0], "adapted": now[1]}

    def _pieces(self, random: np.random.Generator) -> list[tuple[int, int]]:
        """Sounds by their length, and where a piece begins."""
        room = np.array([len(sound) - self.settings.frames - 2 * CONTEXT + 1 for sound in self.sounds])
        which = random.choice(len(room), self.settings.batch, p=room / room.sum())
        return [(int(i), int(random.integers(room[i]))) for i in which]

    def _reconstruction(self, random: np.random.Generator) -> Float[Tensor, ""]:
        """Mean square over pieces of the person's own track, where it was seen, in the person's spread."""
        s = self.settings
        last = len(self.place_of) - s.frames
        begins = np.clip(self.track.person.frames[random.choice(self.learned, s.batch)] - s.frames // 2, 0, max(last, 0))
        guess = self.net(torch.stack([self.track.generic[a : a + s.frames + 2 * CONTEXT] for a in begins.tolist()]))
        places = torch.stack([self.place_of[a : a + s.frames] for a in begins.tolist()])
        known = places >= 0
        away = guess[known] - self.track.person.moves[places[known]]
        return (away / self.net.scale).square().mean()

    def _descend(self, name: str, net: nn.Module, loss: Tensor) -> None:
        self.optimisers[name].zero_grad(set_to_none=True)
        net.requires_grad_(True)
        loss.backward()
        self.optimisers[name].step()

    @torch.no_grad()
    def evaluate(self, step: int) -> dict[str, float]:
        """A row of the curve; the net is kept where the rule chooses it."""
        ratio, syncs, seen = [], [], 0
        for number, sound in enumerate(self.sounds):
            if seen >= EVALUATED:
                break
            adapted = self.net(sound[None])
            plain = mouth_opening(sound[CONTEXT:-CONTEXT])
            ratio.append((mouth_opening(adapted[0]).var(correction=0), plain.var(correction=0), len(plain)))
            if self.sync is not None:
                syncs.append(float(self.sync(adapted, [(number, 0)])))
            seen += len(sound)
        moved, plain = (sum(float(row[i]) * row[2] for row in ratio) for i in (0, 1))
        frames = self.track.person.frames[self.validated]
        first, last = int(frames[0]), int(frames[-1])
        guess = self.net(self.track.generic[None, first : last + 1 + 2 * CONTEXT])[0][torch.from_numpy(frames - first)]
        away = (guess - self.track.person.moves[torch.from_numpy(self.validated)]) / self.net.scale
        row = [step, *self.verdicts.tolist(), float(away.square().mean()), float(np.mean(syncs or 0))]
        row.append((moved / max(plain, 1e-12)) ** 0.5)
        self.curve = torch.cat([self.curve, torch.tensor([row], dtype=torch.float64)])
        if choice.chosen(self.curve) == len(self.curve) - 1:
            self.best = {key: value.clone() for key, value in self.net.state_dict().items()}
        return {f"val_{name}": value for name, value in zip(choice.COLUMNS[1:], row[1:])}

    def state(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        tensors = {"postnet.verdicts": self.verdicts, "postnet.curve": self.curve}
        for name, held in (("net", self.net.state_dict()), ("critic", self.critic.state_dict()), ("best", self.best)):
            tensors |= {f"postnet.{name}.{key}": value for key, value in held.items()}
        for name, optimiser in self.optimisers.items():
            tensors |= optimiser_state(optimiser, f"postnet.{name}-optimiser.")
        return tensors

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take a checkpoint over."""

        def below(name: str) -> dict[str, Tensor]:
            prefix = f"postnet.{name}."
            return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}

        self.verdicts, self.curve = tensors["postnet.verdicts"], tensors["postnet.curve"]
        self.net.load_state_dict(below("net"))
        self.critic.load_state_dict(below("critic"))
        self.best = below("best")
        for name, optimiser in self.optimisers.items():
            restore_optimiser(optimiser, tensors, f"postnet.{name}-optimiser.")


def rates(settings: Settings, step: int) -> tuple[float, float]:
    """Learning rates of net and critic at a step."""
    warm = min(1.0, (step + 1) / max(settings.warm_up, 1))
    return settings.rate * warm * 0.1 ** (step / 250_000), settings.critic_rate * 0.5 ** (step // 40_000)


def train_postnet(
    track: Track,
    sounds: Sequence[Float[Tensor, "_ width"]],
    run: Run,
    settings: Settings = Settings(),
    sync: Sync | None = None,
) -> tuple[PostNet, Float[Tensor, "rows 6"]]:
    """The post-net of a person as the rule of `choice` picks it, and the curve that it was picked from.

    `sounds`: generic motion of mouth and jaw to other sound, each in one piece, centimetres. What the run held stays in its
    checkpoint. Raises BadInput for motion that holds no numbers or stands still, and where there is too little.
    """
    training = Training(track, sounds, settings, sync)
    before = {key: value for key, value in run.resumed.items() if not key.startswith("postnet.")}
    if "postnet.curve" in run.resumed:
        training.restore(run.resumed)
    for step in run.steps(STAGE, settings.steps):
        if step == 0:
            run.log(**training.evaluate(0))
        if choice.over(training.curve):
            break
        numbers = training.step(step, run.generator(step))
        if (step + 1) % settings.every == 0:
            run.log(**numbers, **training.evaluate(step + 1))
        run.keep(lambda: before | training.state())
    run.finish(before | {f"postnet.best.{key}": value for key, value in training.best.items()})
    training.net.load_state_dict(training.best)
    return training.net.eval().requires_grad_(False), training.curve


def restored(tensors: dict[str, Tensor]) -> PostNet:
    """The post-net that a finished stage left in a run."""
    net = PostNet()
    prefix = "postnet.best."
    net.load_state_dict({key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)})
    return net.eval().requires_grad_(False)
