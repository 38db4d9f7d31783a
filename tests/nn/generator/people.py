"""A corpus of a few people whose mouths open with what is said, and small generators."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from likeness.corpus import FORMAT, VERSION, shards, split_of
from likeness.displacement import MOUTH
from likeness.nn.generator import Generator, Settings, Training, preset
from likeness.nn.generator.batches import Batch

SMALL = Training(steps=6, lanes=4, slots=2, crop=16, held=3, validate_every=3, warm_up=1)
TINY = Settings(
    features=("mel", "phones", "pitch"),
    latent=4,
    condition=8,
    width=8,
    posterior_layers=2,
    decoder_layers=2,
    flows=2,
    flow_width=6,
    training=SMALL,
)


def tiny(**changes: object) -> Settings:
    """Small settings; a field of Training may be named too."""
    inner = {k: v for k, v in changes.items() if hasattr(SMALL, k)}
    outer = {k: v for k, v in changes.items() if k not in inner}
    return replace(TINY, **outer, training=replace(SMALL, **inner))


def woken(settings: Settings, seed: int = 0) -> Generator:
    """A generator whose prior does something, as after learning."""
    torch.manual_seed(seed)
    generator = Generator(settings)
    for name, parameter in generator.prior.named_parameters():
        torch.nn.init.normal_(parameter, mean=2.0 if name.endswith("original0") else 0.0, std=0.3)
    return generator.eval()


def features(frames: int, settings: Settings, seed: int = 0) -> torch.Tensor:
    """Speech features of no speech."""
    random = np.random.default_rng(seed)
    widths = {"mel": 80, "phones": 42, "pitch": 1}
    parts = {name: random.normal(-4, 2, (4 * frames, width)) for name, width in widths.items()}
    parts["phones"] = np.log(random.dirichlet(np.full(42, 0.2), 4 * frames) + 1e-3)
    parts["pitch"] = np.where(random.random((4 * frames, 1)) < 0.6, random.uniform(90, 240, (4 * frames, 1)), 0.0)
    return torch.from_numpy(np.concatenate([parts[name] for name in settings.features], 1)).float()


def make_corpus(folder: Path, people: tuple[str, ...] = ("ann", "ben", "ola", "zoe", "eve"), samples: int = 3) -> Path:
    """A shard a person. zoe is in `val`, ola in `test`, the others in `train`."""
    from likeness.gather import work
    from likeness.gather.sources import Source
    from likeness.gather.takes import RECIPES, Take
    from likeness.prepare.sound import Offset

    (folder / "shards").mkdir(parents=True)
    (folder / "corpus.json").write_text(json.dumps({"format": FORMAT, "version": VERSION, "points": 68, "recipes": RECIPES}))
    for number, person in enumerate(people):
        source = Source(f"/videos/{person}/1.mp4", person)
        takes = [
            Take(100 * i, _arrays(32 + 5 * i + number, 10 * number + i), Offset(0.0, 0.3, 0.0, np.zeros(1), 0.2))
            for i in range(samples)
        ]
        clip = {"id": source.id, "video": source.video, "speaker": person, "skipped": "", "notes": []}
        clip["samples"] = [(f"{source.id}-{take.start:07d}", len(take)) for take in takes]
        members = [(key, *work._members(source, take)) for (key, _), take in zip(clip["samples"], takes)]
        header = {"split": split_of(person), "points": 68, "recipes": RECIPES, "clips": [clip]}
        shapes = [take.arrays["shape"] for take in takes]
        shards.write_shard(folder / "shards" / f"{split_of(person)}-{person}.tar", header, shapes, members)
    return folder


def _arrays(frames: int, seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    said = random.dirichlet(np.full(42, 0.1), frames).repeat(4, 0)
    shape = np.zeros((68, 3), np.float32)
    shape[60:64, 1], shape[64:68, 1] = -0.3, 0.3
    moves = 0.02 * random.normal(size=(frames, 68, 3))
    moves[:, MOUTH] += 0.4 * said[::4, 2, None, None]
    mel = random.normal(-5, 2, (4 * frames, 80))
    f0 = np.where(random.random(4 * frames) < 0.5, 150.0, 0.0)
    arrays = {"moves": moves.astype(np.float16), "shape": shape, "eyes": np.ones(frames, np.float16)}
    arrays |= {"pose": np.tile(np.eye(4, dtype=np.float32), (frames, 1, 1)), "mel": mel.astype(np.float16)}
    return arrays | {"phones": np.log(said + 1e-3).astype(np.float16), "f0": f0.astype(np.float32)}


def one_batch(settings: Settings, hearing: object, seed: int = 0) -> Batch:
    """Crops of noise."""
    from likeness.nn.generator.hearing import columns

    count, frames = settings.training.slots, settings.training.crop + hearing.past + hearing.future
    rows = torch.stack([features(frames, settings, seed + i) for i in range(count)])
    heard = torch.stack([columns(r, r.mean(0), r.std(0), settings) for r in rows])
    torch.manual_seed(seed)
    moves = torch.randn(count, frames, 68, 3).cumsum(1) * 0.03
    white = torch.randn(count, settings.latent, frames + 2)
    nothing = torch.zeros(count, 0)
    weight = torch.ones(count, settings.training.crop)
    return Batch(heard, moves, torch.zeros_like(moves), weight, white, nothing[:, None], nothing, nothing)


PAPER = replace(preset("paper"), condition=8, width=8, flow_width=6, posterior_layers=2, training=replace(SMALL, lanes=2))
"""The paper's shape, narrow."""
