"""A portrait whose head is a radiance field: how it is drawn, whatever moves it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from likeness.audio import Hearing
from likeness.camera import Camera, to_camera
from likeness.clip import Motion
from likeness.nn.adaptation.speaker import Speaker, sizes_of
from likeness.nn.performing import Performer
from likeness.nn.radiance.baked import Baked
from likeness.nn.radiance.field import Said
from likeness.nn.radiance.head import Head
from likeness.nn.radiance.occupancy import BOUND, CELLS, UNIT
from likeness.nn.radiance.settings import Settings
from likeness.nn.radiance.volume import Rays, Seen, glance
from likeness.nn.voice import Voice
from likeness.portrait import Layer
from likeness.rig import LIP_COEFFICIENTS

Window = tuple[slice, slice]


class RadiancePerformer(Performer):
    """Rig, head, voice where motion is what moves it, and the stage."""

    config: Settings

    def __init__(self, config: Settings, hearing: Hearing, head: Head, voice: Voice | Speaker | None) -> None:
        super().__init__()
        self.config, self.hearing = config, hearing
        self.head = head
        self.voice = voice
        self.bakes: dict[tuple, Baked] = {}

    @property
    def lights(self) -> int:
        return len(self.head.appearance)

    @property
    def has_quick_way(self) -> bool:
        return self.head.warp is not None

    @torch.no_grad()
    def render(self, cond: Float[Tensor, "time cond"], motion: Motion, state: None = None) -> tuple[Layer, None]:
        """Head pictures; no state is needed."""
        width, height = self.stage.camera.size
        cond, upper = self.within(cond, motion)
        light = None if self.stage.appearance is None else torch.tensor([self.stage.appearance])
        baked = self._baked(light)
        rgb, alpha = torch.zeros(len(cond), height, width, 3), torch.zeros(len(cond), height, width)
        for t, pose in enumerate(motion.pose):
            window, seen = self._seen(pose, self.head.said(cond[t : t + 1], upper[t : t + 1], light), baked=baked)
            shape = alpha[t][window].shape
            rgb[t][window] = seen.color.reshape(*shape, 3)
            alpha[t][window] = seen.alpha.reshape(shape)
        return Layer(rgb, alpha), None

    @torch.no_grad()
    def maps(self, cond: Float[Tensor, "1 cond"] | None, motion: Motion) -> dict[str, Float[Tensor, "height width"]]:
        """Depth in metres, and how much speech and the upper face count in each pixel."""
        row, upper = self.within(self.usual if cond is None else cond, motion)
        window, seen = self._seen(motion.pose[0], self.head.said(row, upper, None), maps=True)
        # Where little is seen, how deep it lies is a guess: the depth of a haze would take up the whole scale.
        solid = seen.alpha > 0.5 * seen.alpha.amax()
        depth = torch.where(solid, seen.depth / seen.alpha.clamp_min(1e-6), 0)
        found = {"depth": depth, "attention to speech": seen.heard, "attention to the upper face": seen.shown}
        whole = torch.zeros(len(found), *self.stage.camera.size[::-1])
        for picture, values in zip(whole, found.values()):
            picture[window] = values.reshape(picture[window].shape)
        return dict(zip(found, whole))

    @property
    def usual(self) -> Float[Tensor, "1 cond"]:
        """The conditioning of the mean lips."""
        return self.head.held(self.rig.mean.new_zeros(1, LIP_COEFFICIENTS))

    def _baked(self, light: Int[Tensor, " 1"] | None) -> Baked | None:
        """What is kept of the head under a light; None where all is to be worked out anew."""
        if not self.stage.quick:
            return None
        eye = self.stage.motion.pose[:, :3, 3].mean(0) * UNIT
        key = self.stage.appearance, *eye.tolist()
        found = self.bakes.get(key)
        if found is None:
            found = Baked(self.head, self.rig, eye, light, self.config)
            self.bakes.clear()  # a hundred megabytes each
            self.bakes[key] = found
        return found

    def _seen(
        self, pose: Float[Tensor, "4 4"], said: Said, maps: bool = False, baked: Baked | None = None
    ) -> tuple[Window, Seen]:
        """What the rays of a window see, outside of which there is nothing."""
        pose = self.head.placed(pose)
        window, camera = self._window(pose)
        origins, directions = camera.rays(pose)
        flat = directions.reshape(-1, 3)
        rays = Rays(origins.reshape(-1, 3), flat, torch.zeros(len(flat), dtype=torch.long))
        return window, glance(self.head.field, self.head.occupancy.bits, rays, said, self.config, maps, baked)

    def _window(self, pose: Float[Tensor, "4 4"]) -> tuple[Window, Camera]:
        """The part of the picture in which something can be."""
        camera = self.stage.camera
        xy = camera.project(to_camera(self._corners, pose))
        size = torch.tensor(camera.size)
        low = xy.amin(0).floor().long().clamp_min(0).minimum(size - 1)
        high = torch.maximum(xy.amax(0).ceil().long().minimum(size), low + 1)
        (x, y), (right, below) = low.tolist(), high.tolist()
        return (slice(y, below), slice(x, right)), camera.cropped(x, y, right - x, below - y)

    @cached_property
    def _corners(self) -> Float[Tensor, "8 3"]:
        """Of the box that holds all that is occupied, metres."""
        cells = self.head.occupancy.bits.nonzero()
        ends = torch.stack([cells.amin(0), cells.amax(0) + 1]) if len(cells) else torch.tensor([[0] * 3, [CELLS] * 3])
        low, high = ends * (2 * BOUND / CELLS) - BOUND
        corners = torch.cartesian_prod(*torch.stack([low, high], 1))
        return corners / UNIT

    def furnish(self, header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        super().furnish(header, tensors)
        self.head.follow(self.rig)

    def sizes(self) -> dict[str, Any]:
        return {"frames": len(self.head.appearance), "voice": 0 if self.voice is None else sizes_of(self.voice)}
