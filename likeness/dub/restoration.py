"""A face restored by a model that the user brings (GFPGAN, CodeFormer, RestoreFormer and their like, as ONNX).

Such models sharpen a whole face, and change whose face it is; over a whole picture they flicker. So only what they change in
the lower face is taken over, in part, under the very mask under which the new lips lie. Nothing of the kind is shipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from likeness.dub.crop import Place, cut_out, laid_back
from likeness.dub.paste import mask
from likeness.errors import BadInput, MissingAsset
from likeness.mesh import LEFT_EYE_CORNERS, LIP_CORNERS, NOSE_TIP, RIGHT_EYE_CORNERS
from likeness.prepare.parsing import similarity

TEMPLATE = np.array(
    [[192.98138, 239.94708], [318.90277, 240.1936], [256.63416, 314.01935], [201.26117, 371.41043], [313.08905, 371.15118]]
)
"""Where these models were taught to expect a face: eyes, tip of the nose and corners of the mouth, in the picture's order from
left to right, in 512 pixels (the alignment of FFHQ, Karras et al. 2019, by five points, as GFPGAN and CodeFormer have it)."""
TEMPLATE_SIDE = 512
SIZES = 64, 2048  # of a picture that a model may take
MIDDLE = 0.5
"""What a model's further numbers get, as CodeFormer's `w`: its own default, between quality and likeness."""
EDGE = 32  # parts of the square: as wide is its edge, across which what was changed ends; an open jaw may reach beyond it
NUMBERS = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
WANTED = (
    "A face restorer takes one picture, [1, 3, S, S] or [N, 3, S, S], RGB -1..1, S 64 to 2048, float, and beside it single "
    "numbers at most; it gives such a picture"
)
SILENT = 4  # ONNX Runtime's level of what it writes to stderr: errors come as exceptions, too


class Restoration:
    """The model, and how much of it is taken over."""

    def __init__(self, path: Path, amount: float) -> None:
        """amount: 0 .. 1. The model is tried once. Raises MissingAsset without ONNX Runtime, BadInput for a model that is none
        or of another kind."""
        if not 0 <= amount <= 1:
            raise BadInput(f"restore_amount {amount}: must lie between 0, nothing of it, and 1.")
        self.amount, self._path = amount, path
        self._session = _opened(path)
        pictures = [one for one in self._session.get_inputs() if len(one.shape) == 4]
        others = [one for one in self._session.get_inputs() if len(one.shape) != 4]
        if len(pictures) != 1 or any(part.type not in NUMBERS for part in (*pictures, *others)):
            raise self._unfit()
        count, colours, *sides = pictures[0].shape
        fixed = {side for side in sides if isinstance(side, int)} or {TEMPLATE_SIDE}
        self.size = max(fixed)
        single = all(one.shape in ([], [1]) for one in others)
        if colours != 3 or len(fixed) > 1 or not single or (isinstance(count, int) and count != 1):
            raise self._unfit()
        if not SIZES[0] <= self.size <= SIZES[1]:
            raise self._unfit()
        self._picture = pictures[0]
        self._others = {one.name: np.full(one.shape, MIDDLE, NUMBERS[one.type]) for one in others}
        edge = (np.arange(self.size, dtype=np.float32) + 0.5) * EDGE / self.size
        ramp = np.clip(np.minimum(edge, edge[::-1]), 0, 1)
        self._ramp = np.minimum(ramp[:, None], ramp)[..., None]
        self._restored(np.full((self.size, self.size, 3), 0.5, np.float32))

    def __call__(
        self,
        image: UInt8[np.ndarray, "height width 3"],
        place: Place,
        points: tuple[Float[np.ndarray, "478 2"], Float[np.ndarray, "478 2"]],
        size: int,
        feather: float,
        shown: float = 1.0,
    ) -> UInt8[np.ndarray, "height width 3"]:
        """A picture into which new lips were pasted, with its lower face restored; the same where `paste`'s mask is 0.

        place, points, size, feather: as `paste` had them, the second points as the face is now. shown: how much of the new lips
        is shown. What a model leaves as it is stays so at any size.
        """
        amount = self.amount * shown
        left, top, right, bottom = window = place.window(image.shape[1], image.shape[0], 2 + int(place.side / size))
        if amount == 0 or right <= left or bottom <= top:
            return image
        square = upright(place.to_picture(points[1], size))
        seen = cut_out(image, square, self.size)
        changed = 255 * self._ramp * (self._restored(seen) - seen)
        alpha = amount * laid_back(mask(points, size, feather), place, window, cv2.BORDER_REPLICATE)
        change = alpha[..., None] * laid_back(changed, square, window, cv2.BORDER_CONSTANT)
        out = image.copy()
        out[top:bottom, left:right] = np.clip(np.rint(image[top:bottom, left:right] + change), 0, 255).astype(np.uint8)
        return out

    def _restored(self, face: Float[np.ndarray, "size size 3"]) -> Float[np.ndarray, "size size 3"]:
        """What the model makes of a face, RGB 0 .. 1."""
        given = (2 * face - 1).transpose(2, 0, 1)[None].astype(NUMBERS[self._picture.type])
        try:
            made = self._session.run(None, {self._picture.name: np.ascontiguousarray(given), **self._others})
        except Exception as error:  # ONNX Runtime's have no kind of their own
            raise self._unfit(f"it fails on a face ({_first_line(error)})") from error
        pictures = [np.asarray(one, np.float32) for one in made if np.shape(one) == given.shape]
        if not pictures:
            shapes = ", ".join(str(list(np.shape(one))) for one in made)
            raise self._unfit(f"for {list(given.shape)} it gives {shapes}")
        if not np.isfinite(pictures[0]).all():
            raise self._unfit("it gives what are no numbers")
        return (np.clip(pictures[0][0].transpose(1, 2, 0), -1, 1) + 1) / 2

    def _unfit(self, why: str | None = None) -> BadInput:
        if why is None:
            why = "it takes " + ", ".join(f"{one.name} {list(one.shape)} {one.type}" for one in self._session.get_inputs())
        return BadInput(f"{self._path}: {why}. {WANTED}.")


def upright(points: Float[np.ndarray, "478 2"]) -> Place:
    """The square of the template round a face, in the picture of the face mesh."""
    eyes = (points[list(corners)].mean(0) for corners in (RIGHT_EYE_CORNERS, LEFT_EYE_CORNERS))
    fitted = similarity(TEMPLATE, np.stack([*eyes, points[NOSE_TIP], *points[list(LIP_CORNERS)]]))
    x, y = fitted @ [TEMPLATE_SIDE / 2, TEMPLATE_SIDE / 2, 1.0]
    side = TEMPLATE_SIDE * float(np.hypot(*fitted[:, 0]))
    return Place(float(x), float(y), side, float(np.arctan2(fitted[1, 0], fitted[0, 0])))


def _opened(path: Path) -> Any:
    """An ONNX Runtime session."""
    if not path.is_file():
        raise BadInput(f"{path}: no such file. --restore takes a face restorer as .onnx; none comes with likeness.")
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingAsset(
            f"restoring faces needs ONNX Runtime ({error}). Install it with: pip install 'likeness[onnx]'. "
            "Dubbing without --restore works without it."
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others read and encode meanwhile
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's have no kind of their own
        raise BadInput(f"{path}: is no ONNX model that can be run ({_first_line(error)}). Copy it again.") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
