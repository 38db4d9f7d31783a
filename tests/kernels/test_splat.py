"""`splat` end to end: same result every time, on any number of threads, from several Python threads."""

import os
import threading

import pytest
import torch
from torch import Tensor

from likeness.kernels import Splats, splat


def draw(cloud, view) -> tuple[Splats, list[Tensor]]:
    leaves = cloud.to(torch.float32)
    splats = splat(*leaves, *view)
    (splats.image.square().sum() + splats.alpha.sum() + 0.1 * splats.depth.sum()).backward()
    return splats, [leaf.grad for leaf in leaves]


def same(a: tuple[Splats, list[Tensor]], b: tuple[Splats, list[Tensor]]) -> bool:
    return all(torch.equal(x, y) for x, y in zip([*a[0], *a[1]], [*b[0], *b[1]]))


def test_every_run_is_the_same_on_any_number_of_threads(cloud, view) -> None:
    scene, camera = cloud(4000), view(150, 130)
    threads = torch.get_num_threads()
    first = draw(scene, camera)
    try:
        for number in (1, 2, threads, threads):
            torch.set_num_threads(number)
            assert same(draw(scene, camera), first)
    finally:
        torch.set_num_threads(threads)


def test_two_python_threads_at_once(cloud, view) -> None:
    scenes = [(cloud(2000, seed), view(120 + 8 * seed, 90)) for seed in range(3)]
    alone = [draw(*scene) for scene in scenes]
    wrong: list[int] = []

    def work(which: int) -> None:
        for _ in range(8):
            if not same(draw(*scenes[which]), alone[which]):
                wrong.append(which)

    threads = [threading.Thread(target=work, args=(which,)) for which in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_means2d_keeps_its_gradient_for_densification(cloud, view) -> None:
    leaves = cloud(200).to(torch.float32)
    splats = splat(*leaves, *view(64, 48))
    splats.means2d.retain_grad()
    splats.image.sum().backward()
    assert (splats.means2d.grad[splats.radii > 0].norm(dim=-1) > 0).any()
    assert (splats.means2d.grad[splats.radii == 0] == 0).all()


def test_inference_draws_the_same_picture_without_a_graph(cloud, view) -> None:
    scene, camera = cloud(500), view(50, 61)
    with torch.no_grad():
        still = splat(*scene, *camera)
    assert not still.image.requires_grad
    assert all(torch.equal(a, b) for a, b in zip(still, splat(*scene, *camera)))


def test_a_step_down_the_gradient_reduces_the_loss(cloud, view) -> None:
    camera = view(48, 48)
    target = splat(*cloud(150, seed=1), *camera).image.detach()
    leaves = cloud(150, seed=2)
    optimiser = torch.optim.Adam(leaves[:3] + leaves[4:], lr=2e-3)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = (splat(*leaves, *camera).image - target).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes fork")
def test_a_forked_child_gets_an_error_instead_of_being_killed(cloud, view) -> None:
    import numba

    scene, camera = cloud(5), view(16, 16)
    splat(*scene, *camera)
    if numba.threading_layer() != "omp":
        pytest.skip("only OpenMP is killed by fork")
    child = os.fork()
    if child == 0:
        try:
            splat(*scene, *camera)
        except RuntimeError:
            os._exit(42)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
