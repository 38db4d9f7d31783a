"""Who sees what, in which order: balanced over participants, and the same for the same seed.

Methods and videos are numbers from 0 here, participants are counted from 0 as they arrive.
"""

from __future__ import annotations

import random
from itertools import combinations, pairwise

TRIES = 40  # 8 methods x 4 videos: 1.2 of 31 neighbours then show the same video, against 4.2 of an unchecked draw


def ratings(methods: int, videos: int, participant: int, seed: int) -> list[tuple[int, int]]:
    """Every (method, video) once, in the order in which a participant rates them.

    Turn after turn every method is shown once. Among each `methods` participants in a row, counted from the first, every
    method stands once at each place of each turn, the very first included; and every method follows every other once in
    each turn (Williams 1949; twice among 2 x `methods` participants where the number of methods is odd).
    """
    square, row = divmod(participant, methods)
    mirrored = methods % 2 == 1 and square % 2 == 1  # an odd number needs a second square, the first one reversed
    base = square // 2 if methods % 2 else square
    turns = []
    for turn in range(videos):
        label = _random(seed, "turn", base, turn).sample(range(methods), methods)
        order = [label[(row + step) % methods] for step in _williams(methods)]
        turns.append(order[::-1] if mirrored else order)
    own = _random(seed, "participant", participant)
    drawn = [_with_videos(turns, own.sample(range(videos), videos), own.sample(range(methods), methods)) for _ in range(TRIES)]
    return min(drawn, key=_same_video_twice)


def votes(methods: int, videos: int, participant: int, seed: int) -> list[tuple[int, int, int]]:
    """Every two methods once, as (method on the left, on the right, video), in the order of a participant's votes.

    Among each `videos` participants in a row, counted from the first, every two methods meet on every video once, each of
    them half the time on the left; the next as many participants see the same with left and right exchanged.
    """
    turn, among = divmod(participant, videos)
    meetings = []
    for first, second in combinations(range(methods), 2):
        chance = _random(seed, "pair", turn // 2, first, second)
        video = chance.sample(range(videos), videos)[among]
        half = videos // 2 + (videos % 2 and chance.randrange(2))
        exchanged = (video in chance.sample(range(videos), half)) ^ (turn % 2 == 1)
        meetings.append((second, first, video) if exchanged else (first, second, video))
    _random(seed, "votes", participant).shuffle(meetings)
    return meetings


def _random(*what: object) -> random.Random:
    """A generator for one decision; a text as its seed is hashed the same way on every machine."""
    return random.Random(" ".join(str(part) for part in what))


def _williams(methods: int) -> list[int]:
    """0, 1, -1, 2, -2, …: steps between neighbours that differ, so that the rotations balance what follows what."""
    steps = [0]
    for distance in range(1, methods // 2 + 1):
        steps += [distance, methods - distance]
    return steps[:methods]


def _with_videos(turns: list[list[int]], column: list[int], shift: list[int]) -> list[tuple[int, int]]:
    """A Latin square of videos: each method meets each video in exactly one turn."""
    return [(m, column[(shift[m] + turn) % len(column)]) for turn, order in enumerate(turns) for m in order]


def _same_video_twice(order: list[tuple[int, int]]) -> int:
    return sum(before[1] == after[1] for before, after in pairwise(order))
