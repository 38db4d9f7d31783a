"""Who is portrayed, and which square of the video the portrait is made from.

Faces are found in a few pictures a second and joined into people by where they are: no face recogniser is needed, and
none ships with what pip installs. One square window, fixed for the whole clip, then frames the head and shoulders; a
window that followed the head would turn head motion into background motion.

Sizes are in pixels of the source video. A face's `size` is its height from hairline to chin: mediapipe's full-range
detector draws a square of that side round it (ratio .89 to 1.02 against the mesh's oval on 24 clips).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from likeness.errors import BadInput

SIDE = 2.3  # face heights: head and shoulders, as in the 512² clips of the field (1.9 in presenter.mp4 and address.mp4)
WHOLE = 2.6  # face heights: a square video with a face at least this large is already framed; taken whole
SQUARE = 1.06  # aspect ratios up to this count as square
ABOVE, BESIDE, BELOW = 0.45, 0.45, 0.5  # face heights that stay free above the hairline, beside and below the face
NEAR = 0.6  # face sizes: how far a face moves between two samples at most
ALIKE = 1.6  # ratio of sizes up to which two sightings can be the same face
GAP_S = 2.0  # s: a face that was gone for longer begins a new sighting (joined to its person by place)
BRIEF = 0.03  # of the samples: people seen for less are bystanders and false alarms, not a choice


@dataclass(frozen=True)
class Face:
    """A face in one picture: centre and height, in pixels of the source."""

    x: float
    y: float
    size: float


@dataclass
class Person:
    """Sightings of one face over the video, by time."""

    times_s: list[float] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)

    def add(self, time_s: float, face: Face) -> None:
        self.times_s.append(time_s)
        self.faces.append(face)

    @property
    def weight(self) -> float:
        """How long and how large the face is in the video: the sum of its sizes."""
        return float(sum(f.size for f in self.faces))

    @property
    def middle(self) -> Face:
        """The median sighting."""
        x, y, size = np.median([(f.x, f.y, f.size) for f in self.faces], axis=0)
        return Face(float(x), float(y), float(size))

    def at(self, time_s: float) -> Face:
        """Where the face is expected at a time, interpolated between sightings."""
        columns = np.array([(f.x, f.y, f.size) for f in self.faces])
        x, y, size = (float(np.interp(time_s, self.times_s, column)) for column in columns.T)
        return Face(x, y, size)


def near(a: Face, b: Face, distance: float = NEAR) -> bool:
    """Whether two sightings can be one face: at most `distance` sizes apart and of like size."""
    apart = np.hypot(a.x - b.x, a.y - b.y)
    larger, smaller = max(a.size, b.size), min(a.size, b.size)
    return bool(apart <= distance * larger and larger <= ALIKE * smaller)


def find_people(samples: Sequence[tuple[float, Sequence[Face]]]) -> list[Person]:
    """Join faces, given as (time in seconds, faces) in order of time, into people, the most prominent first.

    People seen in fewer than BRIEF of the samples are left out unless there is nobody else.
    """
    sightings: list[Person] = []
    for time_s, faces in samples:
        open_ = [p for p in sightings if time_s - p.times_s[-1] <= GAP_S]
        pairs = sorted(
            (
                (np.hypot(f.x - p.faces[-1].x, f.y - p.faces[-1].y), i, j)
                for i, p in enumerate(open_)
                for j, f in enumerate(faces)
            ),
            key=lambda pair: pair[0],
        )
        taken_people: set[int] = set()
        taken_faces: set[int] = set()
        for _, i, j in pairs:
            if i not in taken_people and j not in taken_faces and near(open_[i].faces[-1], faces[j]):
                open_[i].add(time_s, faces[j])
                taken_people.add(i)
                taken_faces.add(j)
        for j, face in enumerate(faces):
            if j not in taken_faces:
                sightings.append(Person([time_s], [face]))
    people = _join(sorted(sightings, key=lambda p: -p.weight))
    lasting = [p for p in people if len(p.faces) >= BRIEF * len(samples)]
    return sorted(lasting or people, key=lambda p: -p.weight)


def _join(sightings: list[Person]) -> list[Person]:
    """Sightings at the same place and of the same size that never overlap in time are one person, seen again."""
    people: list[Person] = []
    for new in sightings:
        for person in people:
            if near(person.middle, new.middle, distance=1.0) and not set(person.times_s) & set(new.times_s):
                order = np.argsort(person.times_s + new.times_s)
                times_s, faces = person.times_s + new.times_s, person.faces + new.faces
                person.times_s, person.faces = [times_s[i] for i in order], [faces[i] for i in order]
                break
        else:
            people.append(new)
    return people


def choose(people: list[Person], person: str | None) -> tuple[Person, str | None]:
    """The person to portray, and a warning when others were passed over.

    `person` is None (the most prominent), a number from 1 in order of prominence, or "x,y" in source pixels.
    Raises BadInput when there is nobody, or no such person.
    """
    if not people:
        raise BadInput("no face was found in the video. A portrait needs a face that looks roughly at the camera.")
    listed = ", ".join(f"{n}: {_place(p)}" for n, p in enumerate(people, 1))
    if person is None:
        warning = None
        if len(people) > 1:
            warning = (
                f"{len(people)} people are in the video ({listed}). Taking person 1; choose with --person N or --person x,y."
            )
        return people[0], warning
    try:
        numbers = [float(v) for v in str(person).split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 1 and numbers[0] in range(1, len(people) + 1):
        return people[int(numbers[0]) - 1], None
    if len(numbers) == 2:
        x, y = numbers
        nearest = min(people, key=lambda p: np.hypot(p.middle.x - x, p.middle.y - y))
        if np.hypot(nearest.middle.x - x, nearest.middle.y - y) <= nearest.middle.size:
            return nearest, None
    raise BadInput(f"--person {person}: no such person. The video shows {listed}.")


def _place(person: Person) -> str:
    face = person.middle
    return f"face {face.size:.0f} px high at {face.x:.0f},{face.y:.0f}"


def find_crop(person: Person, width: int, height: int) -> tuple[int, int, int]:
    """The square (x, y, side) of a video of `width` x `height` pixels that frames the person's head and shoulders.

    It holds all the face's travel with room round it, and lies inside the picture; a square video whose face is large
    enough is taken whole.
    """
    boxes = np.array([(f.x, f.y, f.size) for f in person.faces])
    x, y, size = boxes.T
    usual = float(np.median(size))
    shortest = min(width, height)
    if max(width, height) <= SQUARE * shortest and shortest <= WHOLE * usual:
        side = shortest
        return (width - side) // 2, (height - side) // 2, side
    # One sighting in twenty may be a false alarm or a moment of stretching: it does not widen the window.
    left, right = np.quantile(x - size / 2, 0.05), np.quantile(x + size / 2, 0.95)
    top, bottom = np.quantile(y - size / 2, 0.05), np.quantile(y + size / 2, 0.95)
    wide = right - left + 2 * BESIDE * usual
    high = bottom - top + (ABOVE + BELOW) * usual
    side = int(min(shortest, max(SIDE * usual, wide, high)))
    side -= side % 2
    spare = side - high  # goes below: shoulders are worth more than what is above the hair
    x0 = (left + right - side) / 2
    y0 = top - ABOVE * usual - 0.2 * max(0.0, spare)
    return int(np.clip(round(x0), 0, width - side)), int(np.clip(round(y0), 0, height - side)), side
