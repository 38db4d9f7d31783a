"""GeneFace's first renderer (Ye et al. 2023): a vanilla NeRF of the head that landmarks move, a head-aware one of the torso.

Nothing here knows a method. What a portrait of these does, `near` being [frames, around, 204] z-scored landmarks of each
training frame and its neighbours:

    lesson = HeadLesson(clip, frames, near, run.folder, size, settings)
    head = train_vanilla_head(lesson, settings, run)
    torso = train_vanilla_torso(TorsoLesson(lesson, head), settings, run)

    codes = head.said(near)              # of frames, with their neighbours'
    seen = head.picture(pose, codes[t], camera)              # rgb, premultiplied, and alpha
    seen = torso.over(seen, pose, codes[t], camera)          # likewise, of head and torso: the portrait's layer

Both are modules whose tensors go into the portrait file with the module's own; `VanillaHead(settings)` and
`VanillaTorso(settings)` are blank ones, for no more than the settings decides their sizes. A code hears `Settings.around // 2`
frames to both sides: let these be what the portrait listens to, or chunks show.
"""

from likeness.nn.vanilla.head import Geometry, VanillaHead
from likeness.nn.vanilla.lesson import HeadLesson, TorsoLesson
from likeness.nn.vanilla.settings import Settings
from likeness.nn.vanilla.torso import Place, VanillaTorso, joined
from likeness.nn.vanilla.training import train_vanilla_head, train_vanilla_torso

__all__ = [
    "Geometry", "HeadLesson", "Place", "Settings", "TorsoLesson", "VanillaHead", "VanillaTorso",
    "joined", "train_vanilla_head", "train_vanilla_torso",
]  # fmt: skip
