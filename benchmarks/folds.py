"""Who is left out when: people of a corpus in folds."""

from __future__ import annotations

from collections.abc import Mapping


def dealt(frames: Mapping[str, int], count: int) -> dict[str, int]:
    """Which fold each person is left out in: dealt out by how much they say."""
    return {who: number % count for number, who in enumerate(sorted(frames, key=lambda name: (-frames[name], name)))}
