"""Networks that judge pictures, where their weights are in place; what is not, and why, is part of the report.

A measure that needs another one gets a field here and its entry in `Experts.in_place`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from likeness.errors import MissingAsset
from likeness.evaluate.inception import Inception
from likeness.evaluate.syncnet import SyncNet
from likeness.nn.perceptual import Lpips
from likeness.nn.sync import asset
from likeness.nn.sync.expert import Expert as SyncExpert

Expert = TypeVar("Expert")


@dataclass(frozen=True)
class Experts:
    """None where the weights are not in place."""

    lpips: Lpips | None = None
    inception: Inception | None = None
    syncnet: SyncNet | None = None
    landmarks: SyncExpert | None = None
    """On landmarks, which the user has pretrained."""
    missing: dict[str, str] = field(default_factory=dict)
    """By the name of the figures: why they are not measured, and what to put where."""

    @staticmethod
    def in_place() -> Experts:
        """All that there are. Raises BadInput where a file holds something else: who put it there means it to be used."""
        missing: dict[str, str] = {}

        def found(name: str, load: Callable[[], Expert]) -> Expert | None:
            try:
                return load()
            except MissingAsset as error:
                missing[name] = str(error)
                return None

        return Experts(
            lpips=found("lpips", Lpips.in_place),
            inception=found("fid", Inception.in_place),
            syncnet=found("sync", SyncNet.in_place),
            landmarks=found("lip_sync", asset.in_place),
            missing=missing,
        )
