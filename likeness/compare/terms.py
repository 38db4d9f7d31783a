"""What figures must share before one of them can be better than another: the pictures' size and kind, and the frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from likeness.evaluate import Evaluation


@dataclass(frozen=True)
class Terms:
    """Of an evaluation: lengths in pixels, PSNR and means over frames depend on all of these."""

    size: int
    """Side of the pictures."""
    frames: tuple[int, ...]
    pictures: str
    """Their recipe: raw, or as a codec has left them."""
    given: str = ""
    """Of the held-out pictures themselves."""


def terms_of(found: Evaluation, frames: Sequence[int] | None = None) -> Terms:
    """Of an evaluation; `frames` where a row has others than all of it."""
    return Terms(found.size, tuple(found.frames if frames is None else frames), found.recipes["pictures"], found.given)


def labels(terms: Iterable[Terms]) -> dict[Terms, str]:
    """Each of them, and in words what it does not share with the others; empty where there is only one."""
    parts = {
        its: (
            f"{its.size} px",
            f"{len(its.frames)} frames from {its.frames[0]}",
            its.pictures,
            f"given: {its.given or 'nothing'}",
        )
        for its in terms
    }
    varied = [i for i in range(4) if len({part[i] for part in parts.values()}) > 1]
    return {its: ", ".join(part[i] for i in varied) for its, part in parts.items()}
