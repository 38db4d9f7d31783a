"""Speech features: what a portrait hears, 100 rows a second, rows 4t .. 4t+3 for frame t.

`mel` (80 log-mel bands) knows the voice, `phones` (42 log phone posteriors of pocketsphinx's own acoustic model) what
is said, whoever says it, `pitch` (hertz, 0 where unvoiced) how high. They need no download. HuBERT and wav2vec 2.0 are there
for who has their weights; its logits of letters are what portraits of the original RAD-NeRF listen to.

Every feature has 4 * frames_in(samples) rows, exactly: the waveform is filled with silence to whole frames, and
whatever an extractor yields beyond or short of that is cut, or filled with its last row. Values are not normalised:
statistics are an explicit argument (`Statistics`), of the whole file offline, running live.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likeness.audio import HOP, RATE, ROWS_PER_FRAME, frames_in
from likeness.errors import BadInput, MissingAsset
from likeness.phones import PHONES, PhoneStream, model_hash, posteriors
from likeness.pitch import RECIPE as PITCH_RECIPE
from likeness.pitch import f0

STEP = HOP // ROWS_PER_FRAME
"""Samples in a row: 10 ms."""
BANDS = 80
LENGTH, FFT = 400, 512  # 25 ms of sound in a mel row, centred on it
MARGIN = (FFT - STEP) // 2  # samples of context that a mel row needs on both sides
FLOOR = 1e-8  # of full-scale power: quieter sound is silence
PROBABILITY_FLOOR = 1e-3  # log(p + this): keeps what the recogniser excludes from shouting
BLOCK_ROWS = 6000  # a minute at a time, whatever the length


@dataclass(frozen=True)
class Recipe:
    """How a feature is made. Two features with the same `id` can stand for each other."""

    name: str
    dim: int
    text: str
    """Everything that decides the values."""

    @property
    def id(self) -> str:
        digest = model_hash() if self.name == "phones" else ""
        return hashlib.sha256(f"{self.name}|{self.dim}|{self.text}|{digest}".encode()).hexdigest()[:16]


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("mel", BANDS, "16k, hann 400 of 512, hop 160 centred, HTK mel 0-8000, ln(power / window energy + 1e-8); 1"),
        Recipe("phones", len(PHONES), "pocketsphinx en-us ptm, CI senones, max of 3 states, softmax, ln(p + 1e-3); 1"),
        Recipe("pitch", 1, PITCH_RECIPE),
        Recipe("hubert", 1024, "facebook/hubert-large-ls960-ft, last hidden state, each row twice; 1"),
        Recipe("wav2vec2", 1024, "facebook/wav2vec2-large-xlsr-53, last hidden state, each row twice; 1"),
        Recipe("wav2vec2-letters", 32, "facebook/wav2vec2-large-960h-lv60-self, logits of letters, each row twice; 1"),
        Recipe("wav2vec2-esperanto", 44, "cpierse/wav2vec2-large-xlsr-53-esperanto, logits of letters, each row twice; 1"),
    )
}
OFFLINE = ("mel", "phones")
"""Features that `prepare` makes and that can be heard live. `pitch` needs no download either; it takes a loudness, and a path
through time, that live sound does not have."""


def recipe_id(name: str) -> str:
    """What stands for feature `name` in a portrait file."""
    return _recipe(name).id


def extract(name: str, waveform: Float[np.ndarray, " samples"]) -> Float[np.ndarray, "rows dim"]:
    """Feature `name` of a 16 kHz waveform: [4 frames, dim], not normalised.

    Raises BadInput for an unknown name or an empty waveform, MissingAsset where weights have to be put in place.
    """
    dim = _recipe(name).dim
    rows = frames_in(len(waveform)) * ROWS_PER_FRAME
    if rows == 0:
        raise BadInput("The sound is empty: there is nothing to listen to.")
    waveform = np.pad(np.asarray(waveform, np.float32), (0, -len(waveform) % HOP))
    if name == "mel":
        features = mel(waveform)
    elif name == "phones":
        features = np.log(posteriors(waveform) + PROBABILITY_FLOOR)
    elif name == "pitch":
        features = f0(waveform)[:, None]
    else:
        features = pretrained(name, waveform)
    features = features[:rows]
    features = np.pad(features, ((0, rows - len(features)), (0, 0)), mode="edge")
    assert features.shape == (rows, dim)
    return np.ascontiguousarray(features, np.float32)


def _recipe(name: str) -> Recipe:
    if name not in RECIPES:
        raise BadInput(f"There is no speech feature {name!r}; there are {', '.join(RECIPES)}.")
    return RECIPES[name]


def mel(waveform: Float[np.ndarray, " samples"]) -> Float[np.ndarray, "rows 80"]:
    """Log-mel power of whole rows of 10 ms. A row hears 32 ms around it, so any cut with that margin gives the same."""
    rows = len(waveform) // STEP
    out = np.empty((rows, BANDS), np.float32)
    for start in range(0, rows, BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, rows)
        first, last = start * STEP - MARGIN, stop * STEP + MARGIN
        piece = waveform[max(first, 0) : last].astype(np.float32)
        out[start:stop] = _mel(np.pad(piece, (max(-first, 0), max(last - len(waveform), 0))))
    return out


def _mel(piece: Float[np.ndarray, " samples"]) -> Float[np.ndarray, "rows 80"]:
    """Rows of a piece that has MARGIN samples of context on both sides."""
    window = _window()
    spectrum = torch.stft(torch.from_numpy(piece), FFT, STEP, LENGTH, window, center=False, return_complex=True)
    power = spectrum.abs().square() / window.square().sum()
    return torch.log(_bank() @ power + FLOOR).T.numpy()


class Live:
    """Features of sound as it arrives: `hear` gives the rows that are complete, side by side in the order of `names`.

    `mel` rows are exactly those of `extract`; `phones` are normalised by what was heard so far. Must be closed.
    """

    def __init__(self, names: tuple[str, ...] = OFFLINE) -> None:
        if unknown := [name for name in names if name not in OFFLINE]:
            raise BadInput(f"{', '.join(unknown)} cannot be heard live; {', '.join(OFFLINE)} can.")
        self.names = names
        self._phones = PhoneStream() if "phones" in names else None
        self._sound = np.zeros(MARGIN, np.float32)  # what later mel rows still need
        self._held = {name: np.zeros((0, _recipe(name).dim), np.float32) for name in names}

    def hear(self, waveform: Float[np.ndarray, " samples"]) -> Float[np.ndarray, "rows dim"]:
        """More sound (16 kHz, any amount) in, complete rows out."""
        if "mel" in self.names:
            self._sound = np.concatenate([self._sound, waveform.astype(np.float32)])
            rows = max(0, (len(self._sound) - 2 * MARGIN) // STEP)
            self._hold("mel", _mel(self._sound[: rows * STEP + 2 * MARGIN]) if rows else self._held["mel"][:0])
            self._sound = self._sound[rows * STEP :]
        if self._phones is not None:
            self._hold("phones", np.log(self._phones.hear(waveform) + PROBABILITY_FLOOR))
        ready = min(len(held) for held in self._held.values())
        out = np.concatenate([self._held[name][:ready] for name in self.names], axis=1)
        self._held = {name: held[ready:] for name, held in self._held.items()}
        return out

    def _hold(self, name: str, rows: Float[np.ndarray, "rows dim"]) -> None:
        self._held[name] = np.concatenate([self._held[name], rows])

    def close(self) -> None:
        if self._phones is not None:
            self._phones.close()


@cache
def _window() -> Float[Tensor, " length"]:
    return torch.hann_window(LENGTH)


@cache
def _bank() -> Float[Tensor, "80 bins"]:
    """Triangles of height 1, evenly spaced on O'Shaughnessy's mel scale from 0 to 8 kHz."""
    top = 2595 * math.log10(1 + RATE / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, BANDS + 2, dtype=torch.float64) / 2595) - 1)
    bins = torch.linspace(0, RATE / 2, FFT // 2 + 1, dtype=torch.float64)
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    bank = torch.minimum(rise, fall).clamp_min(0)
    # the lowest triangles are narrower than a bin: give an empty one its nearest bin, or the band would be constant
    nearest = torch.nn.functional.one_hot((edges[1:-1] / (RATE / FFT)).round().long(), FFT // 2 + 1)
    return torch.where(bank.sum(1, keepdim=True) > 0, bank, nearest.double()).float()


@dataclass(frozen=True)
class Statistics:
    """Mean and spread that features are normalised by. State in, state out: `heard` gives the running ones."""

    mean: Float[Tensor, " dim"]
    std: Float[Tensor, " dim"]
    rows: int = 0
    """How many rows they are of."""

    @staticmethod
    def of(features: Float[Tensor, "rows dim"] | Float[np.ndarray, "rows dim"]) -> Statistics:
        """Of a whole file."""
        features = torch.as_tensor(features).double()
        std = features.std(0, correction=0).clamp_min(1e-3)
        return Statistics(features.mean(0).float(), std.float(), len(features))

    def heard(self, features: Float[Tensor, "rows dim"]) -> Statistics:
        """These statistics after more rows, as live sound brings them; chunking makes no difference."""
        if len(features) == 0:
            return self
        new = Statistics.of(features)
        rows = self.rows + new.rows
        share = new.rows / rows
        mean = self.mean + share * (new.mean - self.mean)
        variance = (1 - share) * self.std**2 + share * new.std**2 + share * (1 - share) * (new.mean - self.mean) ** 2
        return Statistics(mean, variance.sqrt().clamp_min(1e-3), rows)


def probabilities(log_phones: Float[Tensor, "*rows 42"]) -> Float[Tensor, "*rows 42"]:
    """The posteriors behind the feature `phones`; they sum to 1."""
    return (log_phones.exp() - PROBABILITY_FLOOR).clamp_min(0)


def assets() -> Path:
    """Where weights are looked for: $LIKENESS_ASSETS, or ~/.cache/likeness."""
    return Path(os.environ.get("LIKENESS_ASSETS") or Path.home() / ".cache" / "likeness")


def pretrained(name: str, waveform: Float[np.ndarray, " samples"]) -> Float[np.ndarray, "rows dim"]:
    """HuBERT or wav2vec 2.0 (last hidden state or logits, 50 a second, each row twice) from weights that the user put in place.

    Taken in pieces of 20 s with 1 s of context. Raises MissingAsset, or BadInput for another model; nothing is ever fetched.
    """
    folder = assets() / name
    recipe = _recipe(name)
    source, logits = recipe.text.split(",")[0], "logits" in recipe.text
    lost = "Without it use the features mel and phones, which need no download; lips of other languages are less exact."
    if logits:
        lost = "Without it this portrait, which the original code trained, cannot hear; train one here from the person's video."
    if not (folder / "config.json").is_file() or not (folder / "model.safetensors").is_file():
        raise MissingAsset(
            f"{folder}: config.json and model.safetensors of {source} are not there. "
            f"Download them from huggingface.co/{source} into this folder (or set LIKENESS_ASSETS). {lost}"
        )
    try:
        from transformers import AutoModel, AutoModelForCTC
    except ImportError as error:
        raise MissingAsset(f"{name} needs the package transformers: pip install transformers. {lost}") from error
    kind = AutoModelForCTC if logits else AutoModel
    model = kind.from_pretrained(str(folder), local_files_only=True, use_safetensors=True).eval()
    with torch.inference_mode():
        rows = np.concatenate([_rows(model, *piece) for piece in _pieces(waveform)])
    if rows.shape[1] != recipe.dim:
        raise BadInput(f"{folder}: this model gives {rows.shape[1]} numbers a row, {source} gives {recipe.dim}. {lost}")
    return rows


def _pieces(waveform: Float[np.ndarray, " samples"]) -> Iterator[tuple[Float[np.ndarray, " piece"], int, int]]:
    """(sound with context, first row, last row to keep) of 20-s pieces."""
    length, context = 20 * RATE, RATE
    for start in range(0, len(waveform), length):
        first = max(start - context, 0)
        piece = waveform[first : start + length + context]
        keep = min(length, len(waveform) - start) // STEP
        yield piece, (start - first) // STEP, (start - first) // STEP + keep


def _rows(model: torch.nn.Module, piece: Float[np.ndarray, " piece"], first: int, last: int) -> Float[np.ndarray, "rows dim"]:
    sound = torch.from_numpy(piece)
    sound = (sound - sound.mean()) / (sound.std() + 1e-7)
    sound = torch.nn.functional.pad(sound, (40, 400))  # its window of 400 samples makes the last row; 40 centres it
    said = model(sound[None])
    rows = (said.logits if hasattr(said, "logits") else said.last_hidden_state)[0].repeat_interleave(2, 0)
    return rows[torch.arange(first, last).clamp(max=len(rows) - 1)].numpy()
