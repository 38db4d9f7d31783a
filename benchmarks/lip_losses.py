"""What the losses of HyperLips' second stage are worth: detail learned on from the same networks, with one set of losses each.

    python -m benchmarks.lip_losses LIPS CORPUS ALBUM [--steps 120]      prints, and writes benchmarks/results/lip_losses.json

ALBUM: folder of the faces, made there where it is not (`lips.safetensors.run/album` of a pretraining is one). Judged on people
who are not learned from, each frame by its own shape, in the face's square, without pasting.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from benchmarks.machine import machine
from likeness.album import Album
from likeness.corpus import Corpus
from likeness.methods.hyperlips.config import Training
from likeness.methods.hyperlips.learn import Learner, Lesson, rate
from likeness.methods.hyperlips.material import Batch, Material, Sampler
from likeness.methods.hyperlips.objective import Objective, enlarged, mouths
from likeness.nn.generator.ranks import Ranks
from likeness.nn.hyper import asset
from likeness.nn.hyper.lipnet import LipNet
from likeness.nn.perceptual import perceptual_loss

RESULTS = Path(__file__).parent / "results" / "lip_losses.json"
RATE = 3e-4
LOSSES = {
    "plain": {"texture_weight": 0.0},
    "texture .3": {"texture_weight": 0.3},
    "texture .3, adversarial .03": {"texture_weight": 0.3, "adversarial_weight": 0.03},
    "adversarial .1": {"texture_weight": 0.0, "adversarial_weight": 0.1},
}
LANES, BATCHES = 8, 8
KERNEL = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]


def busy(pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n h w"]:
    return F.conv2d(pictures.mean(1, keepdim=True), KERNEL, padding=1).abs()[:, 0]


@torch.no_grad()
def judged(net: LipNet, batches: list[Batch], made_by: str = "net") -> dict[str, float]:
    """PSNR at the mouth and of the lower face; how much detail skin and mouth have, over the real ones'."""
    found: dict[str, list[float]] = {name: [] for name in ("psnr_mouth", "psnr_face", "sharpness_skin", "sharpness_mouth")}
    net.eval()
    for batch in batches:
        made = batch.heads.references if made_by == "warp" else net(batch.heads).pictures
        assert made is not None
        made, real = made.flatten(0, 1).clamp(0, 1), batch.heads.crops.flatten(0, 1)
        face, mouth = (of.flatten(0, 1) for of in (enlarged(batch.skin, net.size), mouths(batch, net.size)))
        error = (made - real).square().mean(1)
        for name, where in (("psnr_mouth", mouth), ("psnr_face", face)):
            found[name] += (-10 * torch.log10((error * where).sum((1, 2)) / where.sum((1, 2)))).tolist()
        for name, where in (("sharpness_mouth", mouth), ("sharpness_skin", face * (1 - mouth))):
            found[name] += ((busy(made) * where).sum((1, 2)) / (busy(real) * where).sum((1, 2))).tolist()
    return {name: round(float(np.mean(values)), 4) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("lips", "corpus", "album"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--steps", type=int, default=120)
    given = parser.parse_args()
    about, net = machine(), asset.load(given.lips)
    begun = {name: value.clone() for name, value in net.state_dict().items()}
    material = Material(Album.of_corpus(Corpus.open(given.corpus), given.album), net.settings, net.mouth)
    usual = Training()
    learned = Sampler(material.of("train", net.size), net.settings, net.size, usual.time, usual.unheard, True)
    if len(learned.groups) == 0:
        raise SystemExit(f"{given.corpus}: no face to be learned from is {net.size} pixels large.")
    others = [group for split in ("val", "test") for group in material.of(split, net.size) if not group[0].flip]
    if not others:
        raise SystemExit(f"{given.corpus}: nobody in it is left out (split val or test) whose face is {net.size} pixels large.")
    looked = Sampler(others, net.settings, net.size, 1, 1.0)
    batches = [looked.batch([np.random.default_rng([7, i, k]) for k in range(LANES)]) for i in range(BATCHES)]
    told = {"as they came": judged(net, batches), "references, warped": judged(net, batches, "warp")}
    print(json.dumps(told, indent=1), flush=True)
    for name, weights in LOSSES.items():
        net.load_state_dict(begun)
        lesson = Lesson(net, material, replace(usual, rate=RATE, **weights), perceptual_loss("auto"), 0, Ranks(), None)
        learner = Learner.begun(lesson, True)
        objective, start = Objective(net, lesson.training, lesson.perceptual, learner.judge), time.perf_counter()
        for step in range(given.steps):
            batch = learned.batch([np.random.default_rng([step, lane]) for lane in range(LANES)])
            learner.set_rate(rate(step, given.steps, RATE))
            losses, made = objective(batch, True)
            learner.learned(losses["loss"], lesson.ranks)
            if learner.judge is not None:
                learner.judged(made.detach(), batch, lesson.ranks)
        told[name] = {"seconds_a_step": round((time.perf_counter() - start) / given.steps, 3)} | judged(net, batches)
        print(name, json.dumps(told[name]), flush=True)
    whole = {"machine": about, "steps": given.steps, "frames": LANES * BATCHES, "videos": len(others), "found": told}
    RESULTS.write_text(json.dumps(whole, indent=1) + "\n")


if __name__ == "__main__":
    main()
