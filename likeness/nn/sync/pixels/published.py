"""The sync expert that Wav2Lip's authors published (Prajwal et al. 2020), as a loss, from weights that the user puts in place.

It learned from LRS2, so its weights are not for commercial use. It judges five pictures by the 0.2 s of sound that begin with
the first of them (the generators' own window begins a frame earlier), and looks at the lower halves of faces as S3FD boxes
them. Here the boxes are those of the face mesh, chin to forehead, which are near to that detector's and steadier; without
the 10 pixels that Wav2Lip adds below in use: the expert never saw them. A face is upright in our squares, in its own pictures
as it happened to be. Windows begin with their frame exactly, the original's at the last of its 12.5-ms columns before.
"""

from __future__ import annotations

import hashlib

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from likeness.audio import HOP, ROWS_PER_FRAME, SOUND
from likeness.errors import BadInput
from likeness.nn.sync.pixels.towers import FRAMES, lip_tower_96, sound_tower
from likeness.nn.sync.pixels.wav2lip_mel import LENGTH, STEP, mel
from likeness.published import Published

WAV2LIP = Published(
    what="the published sync expert",
    folder="wav2lip",
    names=("lipsync_expert.pth", "lipsync_expert.safetensors"),
    source="github.com/Rudrabha/Wav2Lip (Expert Discriminator; not for commercial use)",
    ignored=("*.num_batches_tracked",),
    within="state_dict",
)
SIDE = 96
"""Of the whole box, pixels; it looks at the lower half."""
COLUMNS = 16
SURE = 1e-6  # smallest probability of which a logarithm is taken
ITS_NAMES = {"of_lips": "face_encoder", "of_sound": "audio_encoder", "convolve": "conv_block.0", "norm": "conv_block.1"}


class Wav2LipExpert(nn.Module):
    """Both towers, blank."""

    def __init__(self) -> None:
        super().__init__()
        self.of_lips, self.of_sound = lip_tower_96(), sound_tower()

    def lips(self, pictures: Float[Tensor, "n 15 48 96"]) -> Float[Tensor, "n 512"]:
        """Unit vectors of five lower halves each, BGR 0 .. 1, one after the other."""
        return F.normalize(self.of_lips(pictures), dim=-1)

    def sound(self, mels: Float[Tensor, "n 80 16"]) -> Float[Tensor, "n 512"]:
        """Unit vectors of what `wav2lip_mel` gives of 0.2 s."""
        return F.normalize(self.of_sound(mels[:, None]), dim=-1)

    def names(self) -> dict[str, str]:
        """How the published file calls its tensors."""
        named = {}
        for own in self.state_dict():
            if not own.endswith("num_batches_tracked"):
                named[own] = ".".join(ITS_NAMES.get(part, part) for part in own.split("."))
        return named


class PublishedLoss:
    """How little made faces seem to belong to their sound; as `likeness.nn.sync.pixels.loss.SyncLoss`, which says more."""

    features = (SOUND,)
    around = 1
    """Frames of sound that it wants beyond both ends: a column hears 25 ms to either side."""

    def __init__(self, expert: Wav2LipExpert, id: str = "") -> None:
        self.expert, self.id = expert.requires_grad_(False).eval(), id

    @staticmethod
    def in_place() -> PublishedLoss:
        """By the file that the user put in place. Raises MissingAsset, or BadInput for another file."""
        with torch.random.fork_rng(devices=[]):  # its first weights are no draw of anybody's
            expert = Wav2LipExpert()
        names, state = expert.names(), expert.state_dict()
        held = WAV2LIP.read({its: tuple(state[own].shape) for own, its in names.items()})
        expert.load_state_dict({own: held[its] for own, its in names.items()}, strict=False)
        assert WAV2LIP.path is not None
        return PublishedLoss(expert, hashlib.sha256(WAV2LIP.path.read_bytes()).hexdigest()[:16])

    def __call__(
        self,
        made: Float[Tensor, "batch time 3 high wide"],
        features: Float[Tensor, "batch rows 160"],
        faces: Float[Tensor, "batch time 4"],
    ) -> Float[Tensor, ""]:
        """made: squares as `dub` cuts them, RGB 0 .. 1, stretches of 5 frames or more. features: their waveform in rows of
        10 ms, from a frame before to one behind. faces: left, top, right, bottom of whole faces, 0..1 across the squares.
        Gradients reach the lower halves of `faces`. Raises BadInput for too few frames, or another number of rows."""
        time, rows = made.shape[1], features.shape[1]
        if time < FRAMES or rows != ROWS_PER_FRAME * (time + 2 * self.around):
            raise BadInput(
                f"the published sync expert hears {FRAMES} frames or more with 4 rows of sound each, and a frame's on both "
                f"sides, not {time} frames with {rows} rows."
            )
        halves = lower_halves(made, faces).unfold(1, FRAMES, 1).movedim(-1, 2)  # [batch windows 5 3 48 96]
        heard = heard_by(features.flatten(1)).flatten(0, 1)
        alike = (self.expert.lips(halves.flatten(0, 1).flatten(1, 2)) * self.expert.sound(heard)).sum(-1)
        return -alike.clamp(SURE, 1).log().mean()


def lower_halves(
    made: Float[Tensor, "batch time 3 high wide"], faces: Float[Tensor, "batch time 4"]
) -> Float[Tensor, "batch time 3 48 96"]:
    """Of faces in their boxes at 96 x 96, aspect not kept, as the expert knows them: BGR, sampled bilinearly."""
    left, top, right, bottom = (edge[..., None] for edge in faces.flatten(0, 1).unbind(-1))
    at = (torch.arange(SIDE, device=made.device) + 0.5) / SIDE
    x, y = left + at * (right - left), top + at[SIDE // 2 :] * (bottom - top)
    grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), -1)
    found = F.grid_sample(made.flatten(0, 1), 2 * grid - 1, padding_mode="border", align_corners=False)
    return found.flip(1).unflatten(0, made.shape[:2])


def heard_by(waveform: Float[Tensor, "batch samples"]) -> Float[Tensor, "batch windows 80 16"]:
    """The mel of every window of a stretch that has a frame more at both ends: its 16 columns' middles are 12.5 ms apart from
    where the window's first frame begins."""
    first = HOP - LENGTH // 2 - 1
    samples = LENGTH + (COLUMNS - 1) * STEP + 1
    last = waveform.shape[1] - (FRAMES + 1) * HOP  # where the last window's first frame begins
    return mel(waveform[:, first : last - HOP + first + samples].unfold(1, samples, HOP))
