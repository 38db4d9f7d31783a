"""The variational motion generator: speech to the motion of a generic face (GeneFace), learned from a corpus of many people.

`settings` its sizes and presets, `model` the network, `asset` the file, `pretrain` how it is learned.
"""

from likeness.nn.generator.model import Generator
from likeness.nn.generator.settings import PRESETS, Settings, Training, preset

__all__ = ["PRESETS", "Generator", "Settings", "Training", "preset"]
