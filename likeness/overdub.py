"""The command `likeness dub`: which files, and where the lips come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from likeness.dub import Dubbed, Lips, dub
from likeness.dubbing import Dubbing, Wav2Lip, places
from likeness.errors import BadInput, MissingAsset
from likeness.methods.hyperlips import load_lips
from likeness.nn.hyper.asset import place


def run(
    paths: Sequence[Path],
    named: Wav2Lip = Wav2Lip(),
    lips: Path | None = None,
    settings: Dubbing = Dubbing(),
    say: Callable[[str], None] | None = None,
) -> Dubbed:
    """`dub` for files. lips: what `in_place` takes. Raises BadInput, MissingAsset and what `dub` raises."""
    video, sound, out = places(paths, named)
    return dub(video, sound, out, in_place(lips), settings, say)


def in_place(path: Path | None = None) -> Lips:
    """The lips of a file, None for those in place. Raises MissingAsset where there are none, BadInput for no such file,
    and what the loading raises."""
    if path is None and not (path := place()).is_file():
        shown = f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)
        raise MissingAsset(
            f"{shown}: is not there, which makes the lips. Make one from a corpus of many people with `likeness pretrain "
            "hyperlips CORPUS/ FILE` and put it there (or set LIKENESS_ASSETS, or name it with --lips); or train a portrait "
            "of hyperlips on a clip of this person and give that to --lips."
        )
    if not path.is_file():
        raise BadInput(f"{path}: no such file. --lips takes what `likeness pretrain hyperlips` or `likeness train` wrote.")
    return load_lips(path)
