"""An evaluation on the terminal."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from likeness.evaluate import Evaluation

COLUMNS = (
    ("full", "full", 2),
    ("face", "face", 2),
    ("mouth", "mouth", 2),
    ("ssim", "SSIM", 3),
    ("full_own", "own torso", 2),
    ("ssim_own", "SSIM", 3),
    ("lmd", "LMD px", 2),
    ("lmd_share", "LMD/eyes", 4),
    ("opening_r", "opening r", 2),
    ("opening_ratio", "size", 2),
    ("jitter", "jitter px", 3),
)


def show(found: Evaluation, console: Console | None = None) -> None:
    """Print the table, and below it what is not a row."""
    console = console or Console(width=None if sys.stdout.isatty() else 140)
    title = f"{found.method}, {found.size}², {len(found.frames)} held-out frames; PSNR dB over the real torso"
    table = Table(title=title, title_justify="left")
    table.add_column("driven by")
    for _, head, _ in COLUMNS:
        table.add_column(head, justify="right")
    for figures in found.table:
        cells = [(getattr(figures, name), digits) for name, _, digits in COLUMNS]
        table.add_row(figures.row, *("–" if value is None else f"{value:.{digits}f}" for value, digits in cells))
    console.print(table)
    silence, speed = found.silence, found.speed
    console.print(
        f"real jitter {found.real_jitter:.3f} px\nlips in silence {silence['mean']:.2f} ± {silence['std']:.2f} px open "
        f"(voice alone {silence['ungated_mean']:.2f}), "
        f"in real speech {silence['real_mean']:.2f} · {speed['render_fps']:.0f} frames/s rendered, "
        f"{speed['picture_fps']:.0f} with torso and background"
    )
    missed = {name: count for name, count in found.detector_missed.items() if count}
    if missed:
        console.print(f"frames in which no face was found: {missed}")
