"""How a generic motion generator serves one person: own voice on the clip, and other people's voices.

    python -m benchmarks.generalising CLIP/ CORPUS/ [MOTION.safetensors ...] [--folds 3] [--together ANN,ANN_2 ...] [--postnet]

Own voice: every source on the clip's training frames, in six blocks that are left out in turn. Other voices: the portrait of
the clip says what people of the corpus said whom the generator had not learned from (those that it was validated on, and the
corpus' `val` and `test`), and its lip opening is held against their own. Several generators, each with other people left out,
are taken together. Without any, `fast` ones are learned, each without one fold of the people (`--together`: speakers who are
one person). Writes benchmarks/results/generalising.json; no name of a person.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from tyro.conf import Positional

from benchmarks.folds import aliases, dealt
from benchmarks.machine import machine
from likeness.clip import Clip
from likeness.corpus import Corpus, Sample
from likeness.displacement import lip_opening
from likeness.files import write_atomically
from likeness.nn.adaptation import postnet_train
from likeness.nn.adaptation.distances import distances
from likeness.nn.adaptation.person import Person, shown
from likeness.nn.adaptation.postnet import CONTEXT
from likeness.nn.adaptation.sound import Sound, generic_sounds
from likeness.nn.adaptation.speaker import Source, Speaker
from likeness.nn.adaptation.speaker_train import Adaptation, closed_form, train_speaker
from likeness.nn.adaptation.trial import Trial
from likeness.nn.generator import Generator, asset, preset
from likeness.nn.generator.hearing import sample_rows
from likeness.nn.generator.pretrain import pretrain
from likeness.nn.voice import HEARING, Family
from likeness.nn.voice_train import BLOCKS, Lesson, correlation, opening
from likeness.portrait import Heard
from likeness.rig import Rig
from likeness.run import Run
from likeness.speech import Statistics

OUT = Path(__file__).parent / "results" / "generalising.json"
MOST = 1200  # frames of a person
SHARES = (0.5, 1.0)  # of the projection in the chain, on top of a source
Figures = dict[str, float]


@dataclass(frozen=True)
class Settings:
    """What is measured."""

    clip: Positional[Path]
    corpus: Positional[Path]
    motions: Positional[tuple[Path, ...]] = ()
    folds: int = 3
    together: tuple[str, ...] = ()
    postnet: bool = False
    """Train a post-net for each generator too, on motion to the sound of the corpus' `train`: minutes."""
    out: Path = OUT


def own_rows(trial: Trial) -> dict[str, Figures]:
    """Figures of every source of the own voice, with the standard error of r over blocks."""
    rows = {}
    blocks = np.array_split(np.arange(len(trial.frames)), BLOCKS)
    truth = opening(trial.rig, trial.real)
    for family, source in trial.lips:
        lips = trial.lips[family, source]
        if family == "other" and source not in ("voice", "both"):
            continue  # generic motion is the same for both
        figures = trial.figures(family, source)
        if lips.isfinite().all():
            said = opening(trial.rig, lips)
            r = [float(correlation(said[block], truth[block])) for block in blocks]
            figures |= {"r_of_blocks": float(np.mean(r)), "r_error": float(np.std(r, ddof=1) / len(r) ** 0.5)}
            figures["jitter"] = jitter(trial.rig, lips) / jitter(trial.rig, trial.real)
        rows[f"{family} voice" if source == "voice" else source if family == "own" else "both, other voice"] = figures
    return rows


def jitter(rig: Rig, lips: torch.Tensor) -> float:
    """Root of the mean square second difference of mouth and jaw, centimetres."""
    return float(shown(rig, lips).diff(n=2, dim=0).square().mean().sqrt())


def said_by(speaker: Speaker, sample: Sample, family: Family, source: Source) -> torch.Tensor:
    """Lips of a portrait to what somebody else said."""
    hearing = speaker.widest
    heard = torch.from_numpy(sample_rows(sample, hearing.features))
    time, usual = len(sample["moves"]), Statistics.of(heard)
    stretch = hearing.window(heard, 0, time)
    return speaker.said(source, Heard(stretch, usual.mean, usual.std, torch.ones(time), family), hearing)


def other_rows(speaker: Speaker, rig: Rig, person: Person, samples: list[Sample]) -> dict[str, dict[str, Figures]]:
    """By person and source: r of the opening, its spread and the speaker's own, and distances to the portrait's person."""
    sources: list[tuple[str, Family, Source]] = [("own voice", "own", "voice"), ("other voice", "other", "voice")]
    sources += [(source, "other", source) for source in speaker.sources if source != "voice"]
    found: dict[str, dict[str, list[Figures]]] = {}
    for sample in samples:
        real = torch.from_numpy(lip_opening(sample["shape"] + sample["moves"])).float()
        for name, family, source in sources:
            lips = said_by(speaker, sample, family, source)
            shares = {"": lips}
            if source in ("both", "ridge"):
                shares |= {f", projected {share:g}": speaker.projection.manifold(lips, share) for share in SHARES}
            for more, moved in shares.items():
                said = opening(rig, moved)
                row = {
                    "r": float(correlation(said, real)),
                    "frames": float(len(real)),
                    "real_spread_mm": 10 * float(real.std()),
                }
                row |= distances(rig, person, shown(rig, moved), moved)
                found.setdefault(sample["speaker"], {}).setdefault(name + more, []).append(row)
    return {who: {name: mean(rows) for name, rows in held.items()} for who, held in found.items()}


def mean(rows: list[Figures]) -> Figures:
    """By frames."""
    weights = [row["frames"] for row in rows]
    return {key: float(np.average([row[key] for row in rows], weights=weights)) for key in rows[0]}


def samples_of(corpus: Corpus, wanted: set[str]) -> list[Sample]:
    """What these people said, MOST frames of each."""
    found, frames = [], {}
    for split in ("train", "val", "test"):
        for sample in corpus.stream(split, points=68, seed=None, epochs=1):
            who = sample["speaker"]
            if who in wanted and frames.get(who, 0) < MOST:
                frames[who] = frames.get(who, 0) + len(sample["moves"])
                found.append(sample)
    return found


def learned(settings: Settings, corpus: Corpus, folder: Path) -> tuple[Path, ...]:
    """A generator without each fold of the people."""
    same = aliases(settings.together)
    frames: dict[str, int] = {}
    for split in ("train", "val", "test"):
        for sample in corpus.stream(split, points=68, seed=None, epochs=1):
            who = same.get(sample["speaker"], sample["speaker"])
            frames[who] = frames.get(who, 0) + len(sample["moves"])
    fold = dealt(frames, settings.folds)
    motions = tuple(folder / f"{number}.safetensors" for number in range(settings.folds))
    for number, path in enumerate(motions):
        without = tuple(name for name in corpus.speakers if fold[same.get(name, name)] == number)
        pretrain(corpus, path, preset("fast"), validation=without)
    return motions


def generators(motions: tuple[Path, ...], corpus: Corpus) -> list[tuple[Generator, list[Sample]]]:
    """Each with what people said whom it had not learned from."""
    strangers = {name for name, held in corpus.speakers.items() if held.split != "train"}
    judged = [set(asset.read_header(path)["provenance"].get("judged_by", ())) for path in motions]
    return [(asset.load(path), samples_of(corpus, strangers | by)) for path, by in zip(motions, judged)]


def measure(
    clip: Clip, corpus: Corpus, generator: Generator, strangers: list[Sample], postnet: bool
) -> tuple[dict[str, Figures], dict[str, dict[str, Figures]]]:
    """Own and other rows of one generator."""
    rig = Rig.fit(clip.motion[torch.from_numpy(clip.train)])
    adaptation = Adaptation(postnet=postnet_train.Settings() if postnet else None)
    sounds = generic_sounds(corpus, generator, CONTEXT, 10_000, adaptation.temperature) if postnet else ()
    lesson = Lesson.of(clip, rig, clip.train)
    person = Person.of(clip, lesson.usable, lesson.lips)
    heard = Sound.of(clip, list(dict.fromkeys([*HEARING.features, *generator.hearing.features])))
    with tempfile.TemporaryDirectory() as folder, Run(Path(folder), {}) as run:
        speaker = train_speaker(clip, rig, clip.train, run, generator, adaptation, sounds)
        told = [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text().splitlines()]
    _, _, trial = closed_form(heard, generator, lesson, rig, person)
    rows = own_rows(trial)
    own = 1000 * opening(rig, person.lips)
    rows["own lips"] = {"nearest_mm": trial.floor_mm(), "opening_mm": float(own.mean()), "opening_spread_mm": float(own.std())}
    prefix = "own_postnet_"
    for row in told:
        if found := {key.removeprefix(prefix): value for key, value in row.items() if key.startswith(prefix)}:
            rows["postnet, last block"] = found
    return rows, other_rows(speaker, rig, person, strangers)


def together(people: dict[str, dict[str, Figures]]) -> dict[str, Figures]:
    """Mean over people, with standard errors of r and of its difference to the portrait's voice by phones alone."""
    names = next(iter(people.values()))
    rows = {}
    for name in names:
        held = [found[name] for found in people.values()]
        r = np.array([row["r"] for row in held])
        more = r - np.array([found["other voice"]["r"] for found in people.values()])
        root = max(len(r), 1) ** 0.5
        rows[name] = {key: float(np.mean([row[key] for row in held])) for key in held[0]}
        rows[name] |= {"r_error": float(r.std(ddof=1) / root), "gain": float(more.mean())}
        rows[name]["gain_error"] = float(more.std(ddof=1) / root)
    return rows


def main(settings: Settings) -> None:
    about, clip, corpus = machine(), Clip.open(settings.clip), Corpus.open(settings.corpus)
    own, people = [], {}
    with tempfile.TemporaryDirectory(prefix="likeness-generalising-") as folder:
        motions = settings.motions or learned(settings, corpus, Path(folder))
        for generator, strangers in generators(motions, corpus):
            rows, found = measure(clip, corpus, generator, strangers, settings.postnet)
            own.append(rows)
            people |= found
        headers = [asset.read_header(motion) for motion in motions]
    means = {
        name: {key: float(np.mean([rows[name][key] for rows in own if name in rows])) for key in own[0][name]}
        for name in own[0]
    }
    other = together(people)
    for title, rows in (("own voice, frames left out", means), (f"other voices, {len(people)} people", other)):
        print(f"{title:30s} r      ±     spread mm  nearest mm  Fréchet")
        for name, row in rows.items():
            cells = [row.get(key, float("nan")) for key in ("r", "r_error", "opening_spread_mm", "nearest_mm", "frechet")]
            print(f"  {name:28s} " + "  ".join(f"{cell:6.3f}" for cell in cells), flush=True)
    result = {**about, "video": clip.header["source"]["name"], "own": means, "other": other, "people": len(people)}
    result["motions"] = [told(header) for header in headers]
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(settings.out, json.dumps(rounded(result), indent=1).encode() + b"\n")


def told(header: dict) -> dict:
    """Settings and origin of a generator, people by number alone."""
    provenance = dict(header["provenance"])
    provenance["judged_by"] = len(provenance.get("judged_by", ()))
    return {"settings": header["settings"], "provenance": provenance}


def rounded(value):
    """Four decimals."""
    if isinstance(value, dict):
        return {key: rounded(held) for key, held in value.items()}
    if isinstance(value, list):
        return [rounded(held) for held in value]
    return round(value, 4) if isinstance(value, float) else value


if __name__ == "__main__":
    main(tyro.cli(Settings))
