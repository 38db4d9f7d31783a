"""The paper's lines in training and in use."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from likeness.dub.lips import Crops, Said
from likeness.methods.hyperlips.dubbing import HyperLips
from likeness.methods.hyperlips.material import Batch
from likeness.methods.hyperlips.objective import Objective
from likeness.nn.hyper.lipnet import Heads, LipNet
from likeness.nn.hyper.mouth import MOUTH
from likeness.nn.hyper.settings import SHAPE, Settings, preset
from likeness.nn.hyper.sketch import UPPER
from likeness.nn.perceptual import perceptual_loss
from likeness.speech import RECIPES
from tests.methods.hyperlips.school import LITTLE
from tests.nn.hyper.faces import faces, people


def paper() -> Settings:
    """As narrow as it goes."""
    whole = preset("paper")
    return replace(whole, trunk_width=0.25, decoder_width=0.2, refining=replace(whole.refining, width=8))


def net_of(settings: Settings) -> LipNet:
    torch.manual_seed(0)
    net = LipNet(settings).eval()
    net.mouth.fit(people(4))
    return net


def looked_at(net: LipNet) -> list[torch.Tensor]:
    """What its refiner is given as sketches, from now on."""
    found: list[torch.Tensor] = []
    net.refiner.register_forward_pre_hook(lambda _, given: found.append(given[1].detach().clone()))
    return found


def test_training_and_use_draw_alike():
    net, draw = net_of(paper()), torch.Generator().manual_seed(0)
    face = faces(np.array([1.0, 9.0]), np.zeros(2))
    pictures = torch.rand(2, 1, 2, 3, 128, 128, generator=draw)
    sound = torch.randn(1, 2, 80, 20, generator=draw)
    heads = Heads(*pictures, sound, torch.zeros(1, 2, SHAPE), face[None, :, list(MOUTH)], face[None, :, list(UPPER)])
    found = looked_at(net)
    boxes = torch.tensor([0.3, 0.5, 0.7, 0.8]).expand(1, 2, 4)
    batch = Batch(heads, boxes, torch.ones(1, 2, 128, 128), boxes, torch.zeros(1, 8, 0))
    Objective(net, replace(LITTLE, adversarial_weight=0.0), perceptual_loss("laplacian"))(batch, True)
    with torch.inference_mode():
        net(heads)
    assert len(found) == 2 and torch.equal(*found)


def test_the_mouth_that_is_hidden_has_no_influence_on_the_lines():
    """Neither its points nor its pixels; brows that are seen have."""
    net = net_of(paper())
    lips, found = HyperLips(net), looked_at(net)
    bank = Crops(torch.rand(5, 128, 128, 3), 128 * faces(np.array([0.0, 3, 6, 9, 12]), np.zeros(5)))
    dim = sum(RECIPES[name].dim for name in net.hearing.features)
    words = Said(
        torch.randn(2, net.hearing.rows, dim) - 3, torch.zeros(dim), torch.zeros(0, net.hearing.rows, dim), torch.ones(2)
    )
    image, other = torch.rand(2, 128, 128, 3), torch.rand(2, 128, 128, 3)
    other[:, :52] = image[:, :52]
    shut, wide = (128 * faces(np.full(2, mm), np.zeros(2)) for mm in (1.0, 11.0))
    raised = shut.clone()
    raised[:, list(UPPER)] -= 2
    made = [lips(Crops(*seen), bank, words, None)[0] for seen in ((image, shut), (other, wide), (image, raised))]
    assert torch.equal(found[0], found[1]) and torch.equal(made[0], made[1]) and not torch.equal(found[0], found[2])
