"""Networks of HyperLips (Chen et al. 2023): lips of an existing video made anew, to another sound, for people in general.

Two stages. `BaseGenerator` makes a face of 128 x 128 of a crop whose lower half is hidden, another crop of the same person as
reference, and 0.2 s of sound, which decides by what kernels the pictures' features are convolved. `Refiner` adds detail and
enlarges, guided by a sketch. Discriminators judge both in training. Nothing here knows a method, a loss or a file.

    settings = preset("fast")                                     # or "paper": the published sizes
    generator = BaseGenerator(settings).eval()
    ears = hearing(settings.features)                             # frames f - 1 .. f + 3: the one convention
    stretch = ears.window(features, start, stop)                  # speech features as `likeness.speech` has them
    sound = normalised(ears.windows(stretch), settings.features)  # [time columns 20]

    faces, state = generator(crops[None], references[None], sound[None])               # [1 time 3 128 128], RGB 0..1
    faces, state = generator(more_crops[None], more_references[None], more_sound[None], state)   # a stream goes on

    refiner = Refiner(settings.refining).eval()
    pictures = refiner(faces[0], sketches).clamp(0, 1)            # [time 3 high wide]

All are blank modules of sizes that the settings alone decide. Pictures have their channels first; crops are given whole, for
the generator hides their lower half itself. A state is a tuple of tensors, one a scale; begin a scene with none. In training a
batch is [batch time ...], neighbours in time beside each other, and the state begins with none, or where the crop before ended.
`BaseDiscriminator(settings.judging)` and `DetailDiscriminator(settings.judging)` give logits.
"""

from likeness.nn.hyper.convolution import HyperConv, HyperNet
from likeness.nn.hyper.decoder import State
from likeness.nn.hyper.discriminator import BaseDiscriminator, DetailDiscriminator, mouths
from likeness.nn.hyper.generator import BaseGenerator, hidden
from likeness.nn.hyper.hearing import hearing, normalised
from likeness.nn.hyper.refiner import Refiner, enlarged
from likeness.nn.hyper.settings import KEPT, PRESETS, SIDE, Judging, Refining, Settings, preset

__all__ = [
    "KEPT", "PRESETS", "SIDE", "BaseDiscriminator", "BaseGenerator", "DetailDiscriminator", "HyperConv", "HyperNet",
    "Judging", "Refiner", "Refining", "Settings", "State", "enlarged", "hearing", "hidden", "mouths", "normalised", "preset",
]  # fmt: skip
