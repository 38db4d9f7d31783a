"""What all stages of training share: the frames, what drives them, the pictures, and what a picture is worth."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from likeness import mesh
from likeness.clip import PARTS, Index
from likeness.kernels import ssim
from likeness.methods.talking_gaussian.config import Config
from likeness.methods.talking_gaussian.curriculum import Curriculum
from likeness.methods.talking_gaussian.head import Head
from likeness.nn import lesson
from likeness.nn.audio_code import AudioCode
from likeness.nn.patches import random_patches
from likeness.nn.pictures import Picture
from likeness.nn.placement import UNIT
from likeness.rig import LIP_COEFFICIENTS

GREEN = (0.0, 1.0, 0.0)
FACE = (PARTS["face"], PARTS["hair"])
LEAST_EXTENT = 0.3  # UNIT: of a head that hardly moves every Gaussian would be too large
SPREAD = 1.1  # the extent, over the largest distance of a camera from their mean (Kerbl et al. 2023)


class Lesson(lesson.Lesson[Config]):
    """A clip's training frames as a stage sees them."""

    @property
    def lip_weight(self) -> float:
        return self.config.lip_weight

    @cached_property
    def curriculum(self) -> Curriculum:
        """Which frames a step may see."""
        return Curriculum(self.clip, self.frames, self.config)

    @property
    def extent(self) -> float:
        """UNIT. As published it is how far the head moves; a fixed 0.1 m where Gaussians start on the face."""
        if self.config.placement == "mesh":
            return 1.0
        centre = self.clip.motion.pose[torch.from_numpy(self.frames), :3, 3]
        return max(LEAST_EXTENT, UNIT * SPREAD * float((centre - centre.mean(0)).norm(dim=1).max()))

    def driven(self, head: Head, t: Index, rng: np.random.Generator) -> tuple[Float[Tensor, " code"], Float[Tensor, " upper"]]:
        """Code of speech and upper-face values of a frame, with a little noise where motion drives."""
        noise = torch.from_numpy(rng.standard_normal(self.cond.shape[1]).astype(np.float32)) * self.noise
        row = self.rig.clip((self.cond[t] + noise)[None])[0]
        return self.code(head, t, row), row[LIP_COEFFICIENTS:]

    def code(self, head: Head, t: Index, row: Float[Tensor, " cond"]) -> Float[Tensor, " code"]:
        """Code of speech of a frame: of its sound, or of the lips in `row`."""
        if isinstance(head.code, AudioCode):
            return head.hear(self.stretch(t))[0]
        return head.codes(row[None, :LIP_COEFFICIENTS])[0]

    def structure(self, drawn: Tensor, real: Tensor, weight: Tensor | None = None) -> dict[str, Tensor]:
        """L1 (weighted) and 1 - SSIM, already weighed."""
        apart = (drawn - real).abs().mean(-1)
        color = (apart if weight is None else apart * weight).mean()
        return {"color": color, "structure": self.config.ssim_weight * (1 - ssim(drawn, real))}

    def perceptual(self, drawn: Tensor, real: Tensor, sides: tuple[int, int], rng: np.random.Generator) -> Tensor:
        """Perceptual distance over random patches; nothing where a picture is smaller than a patch."""
        if min(drawn.shape[:2]) < sides[0]:
            return drawn.new_zeros(())
        patches = random_patches(torch.stack([drawn, real]), sides, rng)
        return self.distance_weight * self.distance(patches[0], patches[1]).mean()

    def box(self, picture: Picture, t: Index) -> Bool[Tensor, "height width"]:
        """The square round the lips, clamped to the crop."""
        xy = self.pictures.pixels[t, list(mesh.LIPS)] - torch.from_numpy(self.pictures.corner[t]).float()
        middle, half = (xy.amin(0) + xy.amax(0)) / 2, float((xy.amax(0) - xy.amin(0)).amax()) / 2 + 2
        height, width = picture.head.shape
        x, y = torch.arange(width) + 0.5, torch.arange(height) + 0.5
        return ((y - middle[1]).abs() <= half)[:, None] & ((x - middle[0]).abs() <= half)[None]


def of_face(picture: Picture, with_mouth: bool) -> Bool[Tensor, "height width"]:
    """Pixels that the face's branch paints: face and hair, and the inside of the mouth where no other branch does."""
    found = (picture.parts == FACE[0]) | (picture.parts == FACE[1])
    return found | (picture.parts == PARTS["mouth"]) if with_mouth else found


def screened(real: Float[Tensor, "height width 3"], kept: Bool[Tensor, "height width"]) -> Float[Tensor, "height width 3"]:
    """A picture with green wherever it is not kept."""
    return torch.where(kept[..., None], real, real.new_tensor(GREEN))


def on_green(image: Float[Tensor, "height width 3"], alpha: Float[Tensor, "height width"]) -> Float[Tensor, "height width 3"]:
    """A drawn layer before the green screen."""
    return image + (1 - alpha[..., None]) * image.new_tensor(GREEN)


def beside(real: Tensor, drawn: Tensor) -> np.ndarray:
    """Both pictures side by side, for a preview."""
    return (torch.cat([real, drawn.detach()], dim=1).clamp(0, 1) * 255).byte().numpy()
