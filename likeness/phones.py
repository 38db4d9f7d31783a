"""Phone posteriors from the acoustic model that the pocketsphinx wheel carries: what is said, by whoever says it.

The decoder's words are not used. Its senone log holds, for every 10 ms, the score of each state of each phone; the best
of a phone's three states, through a softmax, is its posterior.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

RATE = 16000
STEP = 160
"""Samples in a row: 10 ms."""
PHONES = (
    "+NSN+", "+SPN+", "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER",
    "EY", "F", "G", "HH", "IH", "IY", "JH", "K", "L", "M", "N", "NG", "OW", "OY",
    "P", "R", "S", "SH", "SIL", "T", "TH", "UH", "UW", "V", "W", "Y", "Z", "ZH",
)  # fmt: skip
"""The 42 phones in the order of the model (ARPAbet; SIL silence, +NSN+ noise, +SPN+ noise of a speaker)."""
STATES = 3
SCORE = 1024 * np.log(1.0001)  # the log holds -log(score) / ln(1.0001) / 2^10
WORST = 4096.0  # stands for a state that was not scored, which happens in the first, dropped, rows only
PAD_ROWS, DROP_ROWS = 10, 9  # 100 ms of silence in front and 9 frames off: row r hears the 26 ms around its middle
CHUNK_S = 120  # memory grows with the length of an utterance; its normalisation needs half a minute
CONTEXT_S = 1


def posteriors(waveform: Float[np.ndarray, " samples"]) -> Float[np.ndarray, "rows 42"]:
    """Phone probabilities, one row for each whole 10 ms of a 16 kHz waveform; rows sum to 1.

    Up to two minutes are normalised as a whole (as the model's authors do); longer sound in equal parts with a second
    of overlap, two at a time in child processes. Deterministic: the parts depend on the length alone.
    """
    rows = len(waveform) // STEP
    parts = max(1, -(-len(waveform) // (CHUNK_S * RATE)))
    if parts == 1:
        return _part(waveform, 0, rows)
    edges = [round(rows * part / parts) for part in range(parts + 1)]
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda part: _in_child(waveform, *part), pairwise(edges))
        return np.concatenate(list(found))


class PhoneStream:
    """Phone posteriors of live sound: 3 ms of work for 40 ms of sound, rows come 50 ms after their sound.

    Normalised by what was heard so far, so values differ from `posteriors` (the same best phone in about .83 of rows).
    Holds a decoder and must be closed. Linux and macOS: the log is read through a named pipe, so nothing grows.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="likeness-")
        pipe = Path(self._folder.name) / "000000000.sen"  # what the decoder will call its log
        os.mkfifo(pipe)
        self._pipe = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        # all senones: their 10 KB a frame push each frame through the decoder's own buffer at once
        self._decoder = make_decoder(self._folder.name, allphone_ci=True, compallsen=True, cmn="live")
        self._decoder.start_utt()
        self._log = b""
        self._drop = -1  # rows still to drop; -1 before the header is through
        self._rest = np.zeros(PAD_ROWS * STEP, np.float32)

    def hear(self, waveform: Float[np.ndarray, " samples"]) -> Float[np.ndarray, "rows 42"]:
        """The rows that more sound (16 kHz, any amount) completes."""
        sound = np.concatenate([self._rest, waveform])
        whole = len(sound) // STEP * STEP
        self._rest = sound[whole:]
        for start in range(0, whole, 2 * STEP):  # 2 frames of the log fit into any pipe
            self._decoder.process_raw(pcm(sound[start : min(start + 2 * STEP, whole)]))
            self._drain()
        return self._rows()

    def _drain(self) -> None:
        while True:
            try:
                piece = os.read(self._pipe, 1 << 16)
            except BlockingIOError:
                return
            if not piece:
                return
            self._log += piece

    def _rows(self) -> Float[np.ndarray, "rows 42"]:
        if self._drop < 0:
            end = self._log.find(b"endhdr\n")
            if end < 0 or len(self._log) < end + 11:
                return np.zeros((0, len(PHONES)), np.float32)
            self._log, self._drop = self._log[end + 11 :], DROP_ROWS
        size = 2 + 2 * int.from_bytes(self._log[:2], "little")
        count = len(self._log) // size if len(self._log) >= 2 else 0
        if count == 0:
            return np.zeros((0, len(PHONES)), np.float32)
        frames = np.frombuffer(self._log, "<i2", count * size // 2).reshape(count, -1)
        scores = frames[:, 1 : 1 + len(PHONES) * STATES].astype(np.float32)
        self._log = self._log[count * size :]
        dropped = min(self._drop, count)
        self._drop -= dropped
        return to_posteriors(scores)[dropped:]

    def close(self) -> None:
        """Give the decoder and the pipe back."""
        del self._decoder  # its log closes while the pipe is still open for reading
        os.close(self._pipe)
        self._folder.cleanup()


def _part(waveform: Float[np.ndarray, " samples"], first: int, last: int) -> Float[np.ndarray, "rows 42"]:
    """Rows first .. last-1, with context on both sides."""
    before = min(first, CONTEXT_S * 100)
    piece = waveform[(first - before) * STEP : (last + CONTEXT_S * 100) * STEP]
    with tempfile.TemporaryDirectory(prefix="likeness-") as folder:
        _reserve(folder, len(piece) // STEP + 2 * PAD_ROWS)
        decoder = make_decoder(folder, allphone_ci=True, beam=0.0, pbeam=0.0)
        decoder.start_utt()
        decoder.process_raw(pcm(np.pad(piece, PAD_ROWS * STEP)), full_utt=True)
        decoder.end_utt()
        del decoder  # closes the log
        scores = read_log(next(Path(folder).glob("*.sen")).read_bytes())
    found = to_posteriors(scores[DROP_ROWS + before : DROP_ROWS + before + last - first])
    return np.pad(found, ((0, last - first - len(found)), (0, 0)), mode="edge")


def _reserve(folder: str, rows: int) -> None:
    """Raise OSError where the decoder's log would not fit on the disk: the decoder itself would crash the process."""
    path = Path(folder) / "reserved"
    path.write_bytes(bytes(4096 + rows * (2 + 3 * len(PHONES) * STATES)))
    path.unlink()


def _in_child(waveform: Float[np.ndarray, " samples"], first: int, last: int) -> Float[np.ndarray, "rows 42"]:
    """`_part` in a process of its own: the decoder does not let two threads run at once."""
    margin = CONTEXT_S * 100
    start = max(first - margin, 0)
    with tempfile.TemporaryDirectory(prefix="likeness-") as folder:
        np.save(f"{folder}/sound.npy", waveform[start * STEP : (last + margin) * STEP])
        command = "import sys; from likeness.phones import child; child(*sys.argv[1:])"
        subprocess.run([sys.executable, "-c", command, folder, str(first - start), str(last - start)], check=True)
        return np.load(f"{folder}/phones.npy", allow_pickle=False)


def child(folder: str, first: str, last: str) -> None:
    """The other end of `_in_child`."""
    np.save(f"{folder}/phones.npy", _part(np.load(f"{folder}/sound.npy", allow_pickle=False), int(first), int(last)))


def make_decoder(folder: str, **options: object) -> Any:
    """A phone recogniser that logs its scores in `folder`.

    With `allphone_ci` and open beams only the 126 states of the phones are scored: the same posteriors as with all 5126
    senones (mean difference 4e-5), a third faster, and a log 27 times smaller.
    """
    from pocketsphinx import Decoder, get_model_path  # takes a moment to import

    quiet = {"loglevel": "FATAL", "fwdflat": False, "bestpath": False, "lm": None}
    model = get_model_path("en-us/en-us")
    return Decoder(hmm=model, allphone=get_model_path("en-us/en-us-phone.lm.bin"), senlogdir=folder, **quiet, **options)


def pcm(waveform: Float[np.ndarray, " samples"]) -> bytes:
    """16-bit samples as the decoder takes them."""
    return (np.clip(waveform, -1, 1) * 32767).round().astype("<i2").tobytes()


def read_log(log: bytes) -> Float[np.ndarray, "frames 126"]:
    """Scores of the phones' states out of a senone log: after a header, for every frame, how many senones were scored
    (int16), the distance of each from the one before (bytes), and their scores (int16)."""
    at = log.index(b"endhdr\n") + 7 + 4
    frames = []
    while at + 2 <= len(log):
        count = int.from_bytes(log[at : at + 2], "little")
        states = np.cumsum(np.frombuffer(log, np.uint8, count, at + 2))
        values = np.frombuffer(log, "<i2", count, at + 2 + count)
        scores = np.full(len(PHONES) * STATES, WORST, np.float32)
        scores[states] = values
        frames.append(scores)
        at += 2 + 3 * count
    return np.array(frames, np.float32).reshape(-1, len(PHONES) * STATES)


def to_posteriors(scores: Float[np.ndarray, "frames 126"]) -> Float[np.ndarray, "frames 42"]:
    """The best state of each phone, through a softmax."""
    best = scores.reshape(-1, len(PHONES), STATES).min(2)
    likelihood = np.exp(-SCORE * (best - best.min(1, keepdims=True)))
    return (likelihood / likelihood.sum(1, keepdims=True)).astype(np.float32)


@cache
def model_hash() -> str:
    """Stands for the acoustic model that is installed."""
    from pocketsphinx import get_model_path

    digest = hashlib.sha256()
    for name in ("mdef", "means", "variances", "sendump", "feat.params"):
        digest.update((Path(get_model_path("en-us/en-us")) / name).read_bytes())
    return digest.hexdigest()
