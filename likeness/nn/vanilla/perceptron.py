"""The network of a vanilla radiance field: density and colour of places under a condition (Mildenhall et al. 2020, fig. 7)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from likeness.nn.precision import fast_products
from likeness.nn.torso_field import frequencies
from likeness.nn.vanilla.settings import Settings


class Perceptron(nn.Module):
    """Layers of ReLU. `cond` numbers stand beside every place, at the entrance and where it comes in again."""

    def __init__(self, settings: Settings, cond: int) -> None:
        super().__init__()
        self.octaves, self.view_octaves = settings.octaves, settings.view_octaves
        place, view = 3 * (1 + 2 * settings.octaves), 3 * (1 + 2 * settings.view_octaves)
        again = [(i == settings.skip) * (place + cond) for i in range(settings.depth - 1)]
        self.entrance = nn.Linear(place + cond, settings.width)
        self.density = nn.ModuleList(nn.Linear(more + settings.width, settings.width) for more in again)
        self.sigma = nn.Linear(settings.width, 1)
        self.side = nn.Linear(settings.width + view, settings.color_width)
        rest = (nn.Linear(settings.color_width, settings.color_width) for _ in range(settings.color_depth - 1))
        self.color = nn.ModuleList(rest)
        self.rgb = nn.Linear(settings.color_width, 3)

    def forward(
        self, xyz: Float[Tensor, "rays samples 3"], towards: Float[Tensor, "rays 3"], cond: Float[Tensor, "_ cond"]
    ) -> tuple[Float[Tensor, "rays samples"], Float[Tensor, "rays samples 3"]]:
        """Density per unit of `xyz`, and colours 0..1, along rays of these directions; one row of `cond` for all, or one for
        each ray."""
        place, view = frequencies(xyz, self.octaves), frequencies(towards, self.view_octaves)
        with fast_products(xyz.device):
            x = beside(self.entrance, place, cond).relu_()
            for layer in self.density:
                assert isinstance(layer, nn.Linear)
                extra = layer.in_features - layer.out_features
                if extra:
                    again = linear(x, layer.weight[:, extra:])
                    x = again.add_(beside(layer, place, cond, extra)).relu_()
                else:
                    x = layer(x).relu_()
            density = self.sigma(x)[..., 0].float().relu()
            x = beside(self.side, x, view).relu_()
            for layer in self.color:
                x = layer(x).relu_()
            return density, self.rgb(x).float().sigmoid()


def beside(layer: nn.Linear, x: Float[Tensor, "rays samples m"], row: Float[Tensor, "_ n"], stop: int | None = None) -> Tensor:
    """`layer` of x with a ray's row beside each of its samples, the row's part worked out once a ray; of the layer only its
    first `stop` inputs count."""
    weight, width = layer.weight[:, :stop], x.shape[-1]
    return linear(x, weight[:, :width]) + linear(row, weight[:, width:], layer.bias)[:, None]
