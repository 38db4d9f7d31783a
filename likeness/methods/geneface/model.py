"""GeneFace: a radiance field that landmarks move (Ye et al. 2023), which a voice finds in sound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from likeness.methods.geneface.config import Config
from likeness.methods.geneface.head import Head
from likeness.methods.geneface.near import Near
from likeness.methods.geneface.paper import PaperModel
from likeness.nn.adaptation.speaker import blank_voice
from likeness.nn.radiance.performer import RadiancePerformer
from likeness.portrait import header_hearing


class Model(Near, RadiancePerformer):
    """The portrait: rig, head, voice and stage."""

    method = "geneface"

    @classmethod
    def blank(cls, header: Mapping[str, Any]) -> Model | PaperModel:
        """Of the preset `paper` it is another kind of portrait."""
        if header["config"]["preset"] == "paper":
            return PaperModel.blank(header)
        sizes = header["sizes"]
        words: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in header["config"].items()}
        config = Config(**words)
        return cls(config, header_hearing(header), Head(config, sizes["frames"]), blank_voice(sizes["voice"]))
