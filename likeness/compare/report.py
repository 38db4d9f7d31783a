"""report.html: one file that loads nothing. Its looks are in page.css, what moves in page.js."""

from __future__ import annotations

import html
from collections.abc import Sequence
from importlib.resources import files
from string import Template

import numpy as np

from likeness.clip import Clip
from likeness.compare import inline
from likeness.compare.comparison import Comparison
from likeness.compare.costs import COSTS
from likeness.compare.entries import Entry, real_points, span
from likeness.compare.maps import heat, layout, mean_face, outlined, scale
from likeness.compare.markup import count, hue, name_tag, table
from likeness.compare.measured import measured_section
from likeness.compare.openings import chart
from likeness.compare.players import player
from likeness.compare.tables import Line, all_lines, cost_lines, groups, headlines, shown, shown_heads, tracked
from likeness.compare.terms import labels
from likeness.compare.verdicts import checks_table
from likeness.compare.worst import close_up, worst
from likeness.evaluate import metrics
from likeness.evaluate.catalogue import COLUMNS
from likeness.evaluate.rows import judged
from likeness.video import FPS

MEAN_OF = 40  # real pictures of which the mean face is made


def as_html(found: Comparison, clip: Clip) -> str:
    """The page. Reads the clip's real pictures where it shows them."""
    sections = {
        "Figures": figures_section(found),
        "Other sounds": spoken_section(found),
        "Side by side": players_section(found),
        "Where they err": maps_section(found, clip),
        "Lips over time": curves_section(found, clip),
        "Worst frames": worst_section(found, clip),
        "What they cost": costs_section(found),
        "All rows": rows_section(found),
        "How it was measured": measured_section(found),
    }
    present = {title: body for title, body in sections.items() if body}
    settings = found.settings
    title = f"Comparison on {found.clip}"
    moved = f", with the generator of motion {settings.motion}" if settings.motion else ""
    about = (
        f"{count(len(found.entries), 'entry', 'entries')} on {found.frames} held-out frames "
        f"({found.frames / FPS:.1f} s), {settings.size}², preset {settings.preset}, seed {settings.seed}{moved}. "
        f"{str(found.provenance['date'])[:10]}, {found.seconds / 60:.0f} min in all."
    )
    parts = {
        "title": html.escape(title),
        "about": html.escape(about),
        "failures": failures_part(found),
        "summary": summary_part(found),
        "contents": " ".join(f'<a href="#{_id(name)}">{name}</a>' for name in present),
        "sections": "\n".join(f'<h2 id="{_id(name)}">{name}</h2>\n{body}' for name, body in present.items()),
        "style": _asset("page.css"),
        "script": _asset("page.js"),
    }
    return Template(_asset("page.html")).substitute(parts)


def failures_part(found: Comparison) -> str:
    """What is not in the report, or not all of it, and why."""
    if not found.failures:
        return ""
    told = "".join(
        f"<li><strong>{html.escape(f.name)}</strong>, while {html.escape(f.work)}: {html.escape(f.text)}</li>"
        for f in found.failures
    )
    return f'<div class="failures"><p>What failed:</p><ul>{told}</ul></div>'


def summary_part(found: Comparison) -> str:
    """The few figures to begin with."""
    lines, heads = headlines(found.lines, cost_lines(found.entries))
    return table(lines, heads) if heads else ""


def figures_section(found: Comparison) -> str:
    """By sound; then, as the upper bound, by tracked lips."""
    if not found.entries:
        return ""
    text = (
        "<p>Each says the held-out sound, with the head and the eyes of the real frames. <b>Best</b> is bold on green, second "
        "underlined, as the figures are shown: equal figures share a place. Held still, nearest frame and the real person are "
        "there to read the others by. "
    )
    if any(entry.found.intervals for entry in found.entries):
        text += (
            "Below a figure stands its 95 % confidence interval: for these frames, and of this figure alone. Those that are "
            "ranked share their frames, so that intervals that overlap do not make an order chance, nor marks an order sure. "
        )
    text += "A lone difference of .2 dB may be no more than another seed's.</p>" + _sets(found)
    played = tracked(found.entries)
    bound = ""
    if played:
        bound = (
            '<h3>With tracked lips</h3><p class="soft">The lips of the real frames instead of sound: how well each could draw '
            "if it heard perfectly. Methods that only sound can move have no such row.</p>" + _by_group(played, "h4")
        )
    tables = _by_group(found.lines, "h3")
    checks = checks_table({place: (entry.name, entry.found.checks) for place, entry in enumerate(found.entries)})
    return text + tables + checks + bound


def _by_group(lines: Sequence[Line], level: str) -> str:
    """A table for each group of columns, under a heading."""
    return "".join(
        f"<{level}>{html.escape(group.capitalize())}</{level}>{table(lines, heads)}"
        for group, heads in groups(shown_heads(lines, COLUMNS)).items()
    )


def _sets(found: Comparison) -> str:
    """Who is not ranked with whom, where sizes, frames or kinds of pictures differ."""
    sets = labels(entry.terms for entry in found.entries)
    if len(sets) < 2:
        return ""
    told = "".join(
        f"<li>{html.escape(label)}: {html.escape(', '.join(e.name for e in found.entries if e.terms == terms))}</li>"
        for terms, label in sets.items()
    )
    return (
        "<p>Not all can be ranked with one another: what figures say depends on the size of pictures, on the frames, and on "
        f"what an encoding has smoothed. Marks are among those alike, each above its own real person:</p><ul>{told}</ul>"
    )


def spoken_section(found: Comparison) -> str:
    """By sounds that have no reference."""
    if not found.spoken:
        return ""
    text = (
        "<p>What each says as it would be served, up to the first 20 s. There is no original to compare with, and the real "
        "person says what is in the clip: only a large distance from that row means something. The edge at the seam lies where "
        "the drawn head and torso meet, so the real row has none.</p>"
    )
    titles = {sound.key: sound.title for sound in found.sounds}
    tables = "".join(f"<h3>{html.escape(titles[key])}</h3>{table(lines, COLUMNS)}" for key, lines in found.spoken.items())
    spoken = {place: (e.name, e.spoken.checks) for place, e in enumerate(found.entries) if e.spoken is not None}
    return text + tables + checks_table(spoken)


def players_section(found: Comparison) -> str:
    """One player for each sound."""
    players = []
    for sound in found.sounds:
        films = {}
        if sound.key == "held-out" and found.real_film is not None:
            films["real"] = ("", found.real_film)
        films |= {e.name: (hue(i), e.films[sound.key]) for i, e in enumerate(found.entries) if sound.key in e.films}
        if films:
            players.append(player(sound, films))
    return "\n".join(players)


def maps_section(found: Comparison, clip: Clip) -> str:
    """Heat maps on one scale."""
    if not found.entries:
        return ""
    face = layout(clip)
    worst_of_all = max(np.percentile(entry.errors.values, 99.5) for entry in found.entries)
    top = max(float(np.ceil(worst_of_all)), 1.0)  # all may be perfect
    frames = [int(t) for t in judged(clip)[:: max(1, found.frames // MEAN_OF)]]
    size = found.settings.size
    mean = mean_face((clip.image(t, size) for t in frames), real_points(clip, frames, size), face)
    reference = inline.jpeg(outlined(mean, face))
    tiles = [f'<figure><img src="{reference}" alt="The mean real face"><figcaption>the mean real face</figcaption></figure>']
    for place, entry in enumerate(found.entries):
        picture = inline.png(outlined(heat(entry.errors.values, top), face))
        means = "".join(f"<dt>{name}</dt><dd>{value:.1f}</dd>" for name, value in entry.errors.regions.items())
        label = f"Error of {html.escape(entry.name)} over the face"
        tiles.append(
            f'<figure class="{hue(place)}"><img src="{picture}" alt="{label}"><figcaption>{name_tag(entry.name, place)}'
            f"<dl>{means}</dl></figcaption></figure>"
        )
    return (
        "<p>Mean absolute error of the finished pictures by sound, in grey levels of 255; every frame is turned and scaled so "
        "that the skull stands still. What lies round the face is also the torso's and hair's.</p>"
        f'<div class="scale"><span>0</span><img src="{inline.png(scale())}" alt="Colours from no error to the most">'
        f'<span>{top:.0f} and more</span></div><div class="tiles maps">{"".join(tiles)}</div>'
    )


def curves_section(found: Comparison, clip: Clip) -> str:
    """Lip opening of each against the real one."""
    charts = []
    shares = [_relative(entry, [*entry.opening, *entry.real_opening]) for entry in found.entries]
    top = max((value for values in shares for value in values if value is not None), default=0.0) or 0.01
    for place, entry in enumerate(found.entries):
        drawn, real = entry.opening, entry.real_opening
        figures = entry.figures
        told = f"r = {shown(figures.opening_r, 2)}, size {shown(figures.opening_ratio, 2)}"
        missed = sum(value is None for value in drawn)
        if missed:
            told += f", no face found in {count(missed, 'frame', 'frames')}"
        drawing = chart(entry.name, drawn, real, entry.found.frames, span(clip), top * entry.size)
        caption = f'<figcaption>{name_tag(entry.name, place)} <span class="soft">{told}</span></figcaption>'
        charts.append(f'<figure class="{hue(place)}">{caption}<div class="wide plain">{drawing}</div></figure>')
    if not charts:
        return ""
    return (
        "<p>Distance of the inner lips in pixels: the real person's in grey, each portrait's in its colour. The upright line "
        "is where the player of the held-out sound stands; a click goes there.</p>"
        f'<div class="charts" data-follows="held-out">{"".join(charts)}</div>'
    )


def worst_section(found: Comparison, clip: Clip) -> str:
    """Each entry's worst mouths beside the real frame and what the others made of it."""
    if not found.entries:
        return ""
    chosen: dict[int, list[int]] = {}
    for place, entry in enumerate(found.entries):
        for t in worst(entry.mouth, entry.found.frames):
            chosen.setdefault(t, []).append(place)
    head = "".join(f'<th scope="col">{name_tag(entry.name, place)}</th>' for place, entry in enumerate(found.entries))
    rows = [_worst_row(found, clip, t, chosen[t]) for t in sorted(chosen)]
    return (
        "<p>For each the frames in which its mouth is farthest from the real one (PSNR in the mouth box of the picture as "
        "shown, half a second apart or more), framed in its colour; beside them what the others made of the same moment.</p>"
        f'<div class="wide plain"><table class="worst"><thead><tr><th></th><th scope="col">real</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _worst_row(found: Comparison, clip: Clip, t: int, its: list[int]) -> str:
    size = found.settings.size
    tiles = [f"<td>{_close_up(clip, t, size, clip.image(t, size), f'real, frame {t}')}</td>"]
    for place, entry in enumerate(found.entries):
        if t not in entry.shown:
            tiles.append("<td>–</td>")
            continue
        picture = _close_up(clip, t, entry.size, entry.shown[t], f"{html.escape(entry.name)}, frame {t}")
        error = entry.mouth[entry.found.frames.index(t)]
        kind = f"{hue(place)} its" if place in its else hue(place)
        tiles.append(f'<td class="{kind}">{picture}<div>{error:.1f} dB</div></td>')
    return f'<tr><th scope="row">frame {t}<br>{(t - span(clip)[0]) / FPS:.2f} s</th>{"".join(tiles)}</tr>'


def _close_up(clip: Clip, t: int, size: int, picture: np.ndarray, alt: str) -> str:
    (points,) = real_points(clip, [t], size)
    return f'<img src="{inline.jpeg(close_up(picture, metrics.face_box(points, size)))}" alt="{alt}">'


def costs_section(found: Comparison) -> str:
    """Seconds, megabytes, frames a second."""
    lines = cost_lines(found.entries)
    if not lines:
        return ""
    load = found.provenance["load before"]
    busy = "" if load is None else f" The machine's load was {load} when the comparison began."
    return (
        f"<p>Speed with features given and nothing encoded; {FPS:g} frames/s is as fast as it plays. On a busy machine it is "
        f"too low, and who was measured in a quiet minute seems faster.{busy} Training: seconds in its steps, as the run's log "
        "has them, without what lies before, between and after; empty where there is no log. Memory is what the whole process "
        "held, with all that was loaded for the entries before: it does not say who needs less, so nobody is marked.</p>"
        + table(lines, COSTS)
        + _silence(found.entries)
    )


def _silence(entries: Sequence[Entry]) -> str:
    told = [(place, entry.name, entry.found.silence) for place, entry in enumerate(entries) if entry.found.silence]
    if not told:
        return ""
    rows = "".join(
        f"<tr><th scope='row'>{name_tag(name, place)}</th><td>{held['mean']:.2f} ± {held['std']:.2f}</td>"
        f"<td>{held['ungated_mean']:.2f} ± {held['ungated_std']:.2f}</td><td>{held['real_mean']:.2f}</td></tr>"
        for place, name, held in told
    )
    return (
        '<h3>Lips in silence</h3><p class="soft">How far they stand open without sound, px: as served, where a gate closes the '
        'mouth, and by the voice alone; beside it the real mean in speech.</p><div class="wide"><table><thead><tr><th></th>'
        '<th scope="col">as served</th><th scope="col">voice alone</th><th scope="col">real, speaking</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def rows_section(found: Comparison) -> str:
    """Every row of every evaluation, folded."""
    lines = all_lines(found.entries)
    if not lines:
        return ""
    return (
        f"<details><summary>{count(len(lines), 'row', 'rows')}: whatever drives the lips</summary>"
        '<p class="soft">Sound shifted is the wrong sound, and must be worse than mean lips. Nothing is marked here.</p>'
        + table(lines, COLUMNS, rows=True)
        + "</details>"
    )


def _relative(entry: Entry, values: Sequence[float | None]) -> list[float | None]:
    """Pixels as shares of the picture's side."""
    return [None if value is None else value / entry.size for value in values]


def _id(title: str) -> str:
    return title.lower().replace(" ", "-")


def _asset(name: str) -> str:
    return (files("likeness.compare") / name).read_text(encoding="utf-8")
