"""The capture report: report.json for programs, report.html for people (one file, loads nothing), a table."""

from __future__ import annotations

import base64
import html
import json
import math
from dataclasses import asdict
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from rich.table import Table

from likeness.clip import Clip
from likeness.errors import BadInput
from likeness.files import write_atomically
from likeness.prepare.capture import Capture, Finding, measure

THUMB = 160  # pixels; JPEG of about 6 kB
COLUMNS = 900  # of the timeline
VERDICT = {
    "good": "Good footage: expect a portrait near the best that the method reaches.",
    "warn": "Usable footage: expect a portrait with weaknesses in what is marked below.",
    "bad": "Difficult footage: what is marked below will be seen in the portrait. Filming again is worth it.",
}
MARK = {"good": "✓", "warn": "!", "bad": "✗"}
COLOUR = {"good": "green", "warn": "yellow", "bad": "red"}

STYLE = """
:root { color-scheme: light dark; --good: #1a7f45; --warn: #a86400; --bad: #c22f2f; --line: #8884; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin-bottom: .2rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .35rem .5rem; vertical-align: top }
tr { border-bottom: 1px solid var(--line) }
.good { color: var(--good) } .warn { color: var(--warn) } .bad { color: var(--bad) }
.level { font-weight: 700; white-space: nowrap } .soft { opacity: .75 }
figure { display: inline-block; margin: 0 .6rem .6rem 0 } figcaption { font-size: .8rem; opacity: .8 }
svg { width: 100%; height: auto } svg text { font: 11px system-ui, sans-serif; fill: currentColor }
"""


def write_report(clip: Clip) -> dict[str, Any]:
    """Measure the clip, write report.json and report.html; return {"expected", "warn", "bad"} for the step's mark."""
    capture = measure(clip)
    write_atomically(clip.folder / "report.json", json.dumps(as_json(clip, capture), indent=1).encode())
    write_atomically(clip.folder / "report.html", as_html(clip, capture).encode())
    counts = {level: sum(f.level == level for f in capture.findings) for level in ("warn", "bad")}
    return {"expected": capture.expected, **counts}


def as_json(clip: Clip, capture: Capture) -> dict[str, Any]:
    """report.json: expected quality, findings by key, the frames chosen, notes of the preparation."""
    findings = {f.key: {k: _plain(v) for k, v in asdict(f).items() if k != "key"} for f in capture.findings}
    return {
        "clip": clip.folder.name,
        "source": clip.header["source"],
        "frames": len(clip),
        "expected": capture.expected,
        "verdict": VERDICT[capture.expected],
        "findings": findings,
        "moments": capture.moments,
        "notes": notes(clip),
        "seconds": step_seconds(clip),
    }


def _plain(value: Any) -> Any:
    """JSON has no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def load_report(clip: Clip) -> dict[str, Any]:
    """report.json of a prepared clip. Raises BadInput when it is missing or damaged."""
    path = clip.folder / "report.json"
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read ({error}). Delete steps/report.json and prepare again.") from error


def table(clip: Clip) -> Table:
    """The report for a terminal."""
    report = load_report(clip)
    shown = Table(title=f"{clip.folder.name}: {report['verdict']}", title_justify="left", expand=False)
    for column in ("", "what", "measured", "what to do"):
        shown.add_column(column, overflow="fold")
    for finding in _by_level(report["findings"]):
        level = finding["level"]
        style = COLOUR[level]
        shown.add_row(f"[{style}]{MARK[level]}[/]", finding["title"], finding["shown"], finding["advice"])
    return shown


def _by_level(findings: dict[str, dict]) -> list[dict]:
    order = {"bad": 0, "warn": 1, "good": 2}
    return sorted(findings.values(), key=lambda f: order[f["level"]])


def notes(clip: Clip) -> list[str]:
    """What the survey and the reader had to say."""
    said: list[str] = []
    for name, key in (("survey", "warnings"), ("frames", "problems")):
        try:
            said += json.loads((clip.folder / "steps" / f"{name}.json").read_text())["found"].get(key, [])
        except (OSError, ValueError, KeyError):
            continue
    return said


def step_seconds(clip: Clip) -> dict[str, list[float]]:
    """How long each step took, by the clock and in CPU time, from its mark."""
    seconds = {}
    for path in sorted((clip.folder / "steps").glob("*.json")):
        mark = json.loads(path.read_text())
        if "seconds" in mark:
            seconds[mark["step"]] = [mark["seconds"], mark["cpu_seconds"]]
    return seconds


def as_html(clip: Clip, capture: Capture) -> str:
    """report.html: verdict, findings, the frames that show them, the timeline. No script, nothing from elsewhere."""
    name = html.escape(clip.folder.name)
    source = clip.header["source"]
    told = "".join(f"<li>{html.escape(note)}</li>" for note in notes(clip))
    rows = "".join(_row(f) for f in sorted(capture.findings, key=lambda f: {"bad": 0, "warn": 1, "good": 2}[f.level]))
    figures = "".join(_figure(clip, caption, t) for caption, t in capture.moments.items())
    x, y, side = clip.header["crop"]
    width, height = source["size"]
    about = f"{len(clip)} frames, {len(clip) / clip.fps:.1f} s, window {side}×{side} at {x},{y} of {width}×{height}"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Capture report: {name}</title><style>{STYLE}</style></head><body>
<h1>Capture report: {name}</h1>
<p class="soft">{html.escape(str(source["name"]))}: {about}</p>
<p class="{capture.expected} level">{VERDICT[capture.expected]}</p>
{f"<ul>{told}</ul>" if told else ""}
<h2>Findings</h2>
<table><tr><th></th><th>What</th><th>Measured</th><th>Good is</th><th>What to do</th></tr>{rows}</table>
<h2>Frames chosen by rule</h2>{figures}
<h2>The clip over time</h2>{_timeline(clip, capture)}
</body></html>
"""


def _row(finding: Finding) -> str:
    cells = (finding.title, finding.shown, finding.threshold, finding.advice)
    rest = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
    return f'<tr><td class="level {finding.level}">{MARK[finding.level]}&nbsp;{finding.level}</td>{rest}</tr>'


def _figure(clip: Clip, caption: str, t: int) -> str:
    text = f"{html.escape(caption)}, {t / clip.fps:.2f} s"
    image = f'<img src="{thumbnail(clip.image(t))}" width="{THUMB}" alt="{text}">'
    return f"<figure>{image}<figcaption>{text}</figcaption></figure>"


def thumbnail(image: UInt8[np.ndarray, "height width 3"]) -> str:
    """A picture as a data URI."""
    small = cv2.resize(image, (THUMB, THUMB), interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"


def _timeline(clip: Clip, capture: Capture) -> str:
    """Lip opening, speech and face in view over time, with cuts, jumps and the held-out stretch, as SVG."""
    length = len(clip)
    column = np.minimum(np.arange(length) * COLUMNS // max(length, 1), COLUMNS - 1)

    def by_column(values: Float[np.ndarray, " time"]) -> Float[np.ndarray, " columns"]:
        total = np.bincount(column, np.nan_to_num(values), COLUMNS)
        return total / np.maximum(np.bincount(column, minlength=COLUMNS), 1)

    opening = by_column(capture.opening)
    top = max(float(opening.max()), 1e-3)
    points = " ".join(f"{x},{70 - 60 * v / top:.1f}" for x, v in enumerate(opening))
    drawn = [f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1"/>']
    drawn += _band(capture.speaking, column, 78, "var(--good)") + _band(clip.seen.numpy(), column, 94, "currentColor")
    for start, _ in clip.scenes[1:]:
        drawn.append(_mark(int(column[start]), "var(--bad)"))
    drawn += [_mark(int(column[t]), "var(--warn)") for t in clip.breaks]
    if len(clip.test):
        x0, x1 = column[clip.test[0]], column[clip.test[-1]]
        drawn.append(f'<rect x="{x0}" y="5" width="{max(1, x1 - x0)}" height="67" fill="currentColor" opacity=".12"/>')
    labels = (("lip opening", 40), ("speech", 86), ("face in view", 102))
    drawn += [f'<text x="{COLUMNS + 6}" y="{y}">{text}</text>' for text, y in labels]
    ticks = range(0, int(length / clip.fps) + 1, max(1, round(length / clip.fps / 10)))
    drawn += [f'<text x="{s * clip.fps / max(length, 1) * COLUMNS:.0f}" y="122">{s} s</text>' for s in ticks]
    legend = '<p class="soft">Red: cuts. Amber: small jumps. Shaded: held out for measuring.</p>'
    return f'<svg viewBox="0 0 {COLUMNS + 90} 128" role="img" aria-label="timeline">{"".join(drawn)}</svg>{legend}'


def _band(on: np.ndarray, column: np.ndarray, y: int, colour: str) -> list[str]:
    """Rectangles over the stretches where something holds."""
    edges = np.flatnonzero(np.diff(np.r_[False, on, False].astype(np.int8)))
    spans = [(int(column[a]), int(column[b - 1]) + 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return [f'<rect x="{a}" y="{y}" width="{b - a}" height="9" fill="{colour}" opacity=".6"/>' for a, b in spans]


def _mark(x: int, colour: str) -> str:
    return f'<line x1="{x}" y1="4" x2="{x}" y2="108" stroke="{colour}" stroke-width="1.5"/>'
