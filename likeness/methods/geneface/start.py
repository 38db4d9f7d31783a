"""What GeneFace's head hears landmarks by, of another clip's statistics: see `likeness.nn.radiance.start`."""

from __future__ import annotations

from likeness.errors import BadInput
from likeness.methods.geneface.config import Config
from likeness.methods.geneface.head import Head
from likeness.methods.geneface.model import Model
from likeness.methods.geneface.paper import PaperConfig, PaperModel
from likeness.nn.radiance import start
from likeness.nn.radiance.start import Beginning

MEAN, STD = "landmarks.mean", "landmarks.std"
WEIGHT, BIAS = "code.dense.0.weight", "code.dense.0.bias"  # of the layer that landmarks come into


def beginning(portrait: Model | PaperModel, config: Config | PaperConfig) -> Beginning:
    """From a portrait. Raises BadInput where its head is built in another way, and for the preset `paper`, which has no
    field on grids."""
    if isinstance(portrait, PaperModel) or isinstance(config, PaperConfig):
        raise BadInput("no portrait of geneface's preset paper begins from another, nor another from it. Leave the start out.")
    return start.beginning(portrait, config, portrait.config.preset)


def take_over(head: Head, begin: Beginning) -> None:
    """Set the parameters of a new head, whose landmarks are measured: the same displacement in centimetres makes the same
    code. Faces at rest are not compared; two tracks of one face differ by more than a bridge of the nose moves."""
    known, own = begin.known, head.landmarks
    first = {
        WEIGHT: known[WEIGHT] * (own.std / known[STD]),
        BIAS: known[BIAS] + known[WEIGHT] @ ((own.mean - known[MEAN]) / known[STD]),
    }
    start.take_over(head, known | first)
