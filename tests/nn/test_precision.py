import torch

from likeness.nn.precision import fast_products


def test_products_are_near_the_exact_ones_and_gradients_stay_float32():
    torch.manual_seed(0)
    x, layer = torch.randn(300, 40), torch.nn.Linear(40, 20, bias=False)
    with fast_products(x.device):
        found = layer(x)
    exact = layer(x)
    assert found.dtype in (torch.bfloat16, torch.float32) and exact.dtype == torch.float32
    assert (found.float() - exact).abs().max() < 0.02 * exact.abs().max()
    found.float().square().sum().backward()
    assert layer.weight.grad.dtype == torch.float32 and layer.weight.grad.isfinite().all()
