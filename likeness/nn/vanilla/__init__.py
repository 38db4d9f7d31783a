"""GeneFace's first renderer (Ye et al. 2023): a vanilla NeRF of the head that landmarks move, a head-aware one of the torso.

Nothing here knows a method. What a portrait of these does, `cond` being [time, 204] z-scored landmarks of every frame:

    lesson = HeadLesson(clip, frames, cond, run.folder, size, settings)
    head = train_vanilla_head(lesson, settings, run)
    torso = train_vanilla_torso(TorsoLesson(lesson, head), settings, run)

    codes = head.follow(cond)            # a whole stretch; head.said(neighbours(...)) where only a part is there
    seen = head.picture(pose, codes[t], camera)              # rgb, premultiplied, and alpha
    seen = torso.over(seen, pose, codes[t], camera)          # likewise, of head and torso: the portrait's layer

Both are modules whose tensors go into the portrait file with the module's own; `VanillaHead(settings)` and
`VanillaTorso(settings)` are blank ones, for no more than the settings decides their sizes. `follow` looks at
`Settings.around // 2` frames to both sides, so chunks show unless codes are made of the whole, or of a stretch that is longer
by as much: let codes be what the portrait listens to.
"""

from likeness.nn.vanilla.condition import neighbours
from likeness.nn.vanilla.head import Geometry, VanillaHead
from likeness.nn.vanilla.lesson import HeadLesson, TorsoLesson
from likeness.nn.vanilla.settings import Settings
from likeness.nn.vanilla.torso import Place, VanillaTorso, joined
from likeness.nn.vanilla.training import train_vanilla_head, train_vanilla_torso

__all__ = [
    "Geometry", "HeadLesson", "Place", "Settings", "TorsoLesson", "VanillaHead", "VanillaTorso",
    "joined", "neighbours", "train_vanilla_head", "train_vanilla_torso",
]  # fmt: skip
