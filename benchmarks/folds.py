"""Who is left out when: people of a corpus in folds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def dealt(frames: Mapping[str, int], count: int) -> dict[str, int]:
    """Which fold each person is left out in: dealt out by how much they say."""
    return {who: number % count for number, who in enumerate(sorted(frames, key=lambda name: (-frames[name], name)))}


def aliases(together: Iterable[str]) -> dict[str, str]:
    """By other names of a person the first of them; each item is the names of one, with commas between."""
    return {name: names.split(",")[0] for names in together for name in names.split(",")}
