"""The head as Gaussians on a personal face mesh that a conditioning vector moves. The unit of length is 0.1 m."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from likeness import mesh
from likeness.camera import Camera
from likeness.kernels import Splats, splat
from likeness.nn.placement import UNIT
from likeness.rig import LIP_COEFFICIENTS, SIZE

NODE_EMBEDDING = 16
NODE_WIDTH = 48
VIEW_RANGE = 2.0  # standard deviations of the training views: beyond, colours that are linear in the view turn to splotches
VIEW_GAIN = 0.1  # of the view on colours
NODE_REACH = 0.05  # the node network moves nodes by about this much at most, model units


@dataclass(frozen=True)
class Seed:
    """Where Gaussians start; see `initialise`. N Gaussians."""

    rest: Float[Tensor, "n 3"]
    log_scale: Float[Tensor, "n 3"]
    color: Float[Tensor, "n 3"]
    corners: Int[Tensor, "n 3"]
    """Nodes that each Gaussian hangs on."""
    weights: Float[Tensor, "n 3"]
    """Barycentric; all zero where a Gaussian hangs on none."""
    response: Float[Tensor, "cond n 3"]
    """Own linear movement per unit of conditioning, before `gain`."""
    gain: Float[Tensor, " n"]
    above: Float[Tensor, " n"]
    """Share in which eyes and brows move it: 0 below the nose, 1 from the lower lids up."""


class Gaussians(nn.Module):
    """The head: persistent Gaussians, the mesh nodes that carry them, and their motion under a conditioning."""

    corners: Tensor
    weights: Tensor
    gain: Tensor
    above: Tensor
    node_above: Tensor
    view_centre: Tensor
    view_spread: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.rest = nn.Parameter(torch.zeros(count, 3))
        self.log_scale = nn.Parameter(torch.zeros(count, 3))
        self.quats = nn.Parameter(torch.zeros(count, 4))
        self.opacity_logits = nn.Parameter(torch.ones(count))
        self.color = nn.Parameter(torch.zeros(count, 3))
        self.color_by_view = nn.Parameter(torch.zeros(count, 3, 3))
        self.response = nn.Parameter(torch.zeros(SIZE, count, 3))
        self.basis = nn.Parameter(torch.zeros(SIZE, mesh.NODES, 3))
        self.embedding = nn.Parameter(torch.zeros(mesh.NODES, NODE_EMBEDDING))
        self.node_first = nn.Linear(NODE_EMBEDDING + SIZE, NODE_WIDTH)
        self.node_second = nn.Linear(NODE_WIDTH, NODE_WIDTH)
        self.node_out = nn.Linear(NODE_WIDTH, 3)
        self.register_buffer("corners", torch.zeros(count, 3, dtype=torch.int32))
        self.register_buffer("weights", torch.zeros(count, 3))
        self.register_buffer("gain", torch.ones(count))
        self.register_buffer("above", torch.ones(count))
        self.register_buffer("node_above", torch.ones(mesh.NODES))
        self.register_buffer("view_centre", torch.zeros(3))
        self.register_buffer("view_spread", torch.ones(3))

    @staticmethod
    def restored(state: Mapping[str, Tensor]) -> Gaussians:
        """From the tensors `gaussians.*` of a run."""
        mine = {key[len("gaussians.") :]: value for key, value in state.items() if key.startswith("gaussians.")}
        gaussians = Gaussians(len(mine["rest"]))
        gaussians.load_state_dict(mine)
        return gaussians

    def __len__(self) -> int:
        return len(self.rest)

    def nodes(self, cond: Float[Tensor, " cond"]) -> Float[Tensor, "nodes 3"]:
        """Displacement of the mesh nodes: linear basis and a small network. Eyes and brows do not reach below the nose:
        what correlates with them there by chance would move the mouth."""
        linear = _moved(self.basis, cond, self.node_above)
        # The conditioning is the same for every node: its share of the first layer is one row, or two mixed by height.
        shape, lips, upper = self.node_first.weight.split([NODE_EMBEDDING, LIP_COEFFICIENTS, SIZE - LIP_COEFFICIENTS], dim=1)
        said, shown = cond[:LIP_COEFFICIENTS], cond[LIP_COEFFICIENTS:]
        row = lips @ said + self.node_first.bias
        hidden = nn.functional.silu(self.embedding @ shape.T + row + self.node_above[:, None] * (upper @ shown))
        hidden = self.node_out(nn.functional.silu(self.node_second(hidden)))
        return linear + NODE_REACH * hidden

    def means(self, cond: Float[Tensor, " cond"]) -> Float[Tensor, "n 3"]:
        """Centres under a conditioning, head frame."""
        nodes = self.nodes(cond)
        carried = (nodes[self.corners.long()] * self.weights[..., None]).sum(1)
        own = _moved(self.response, cond, self.above) * self.gain[:, None]
        return self.rest + carried + own

    def colors(self, pose: Float[Tensor, "4 4"]) -> Float[Tensor, "n 3"]:
        """Colours seen from a camera: c0 + 0.1 C1 v, v the camera's direction in the head frame."""
        return self.color + VIEW_GAIN * (self.color_by_view @ self.view(pose))

    def view(self, pose: Float[Tensor, "*n 4 4"]) -> Float[Tensor, "*n 3"]:
        """v of `colors`: in standard deviations from the mean of the training views, clamped."""
        return ((self.direction(pose) - self.view_centre) / self.view_spread).clamp(-VIEW_RANGE, VIEW_RANGE)

    @staticmethod
    def direction(pose: Float[Tensor, "*n 4 4"]) -> Float[Tensor, "*n 3"]:
        """Unit direction from the head to the camera, head frame."""
        return nn.functional.normalize(pose[..., :3, 3], dim=-1)

    def forward(self, cond: Float[Tensor, " cond"], pose: Float[Tensor, "4 4"], camera: Camera) -> Splats:
        """One picture of the head."""
        to_camera = torch.linalg.inv(pose)
        to_camera[:3, 3] *= UNIT
        return splat(
            self.means(cond),
            self.quats,
            self.log_scale.exp(),
            self.opacity_logits.sigmoid(),
            self.colors(pose),
            to_camera,
            (camera.focal, camera.focal),
            camera.centre,
            camera.size,
        )


def _moved(basis: Float[Tensor, "cond n 3"], cond: Float[Tensor, " cond"], above: Float[Tensor, " n"]) -> Float[Tensor, "n 3"]:
    """Linear movement: by the lips in full, by eyes and brows in the share `above`."""
    lips, upper = basis[:LIP_COEFFICIENTS].flatten(1), basis[LIP_COEFFICIENTS:].flatten(1)
    by_lips = (cond[:LIP_COEFFICIENTS] @ lips).view(-1, 3)
    return by_lips + above[:, None] * (cond[LIP_COEFFICIENTS:] @ upper).view(-1, 3)
