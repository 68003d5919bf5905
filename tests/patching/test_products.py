import pytest
import torch
from torch.nn import functional as F

from mechviz.patching import products
from mechviz.patching.products import Product


@pytest.mark.parametrize("packs", [True, False])
@pytest.mark.parametrize("gelu", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (40, 50)])
def test_a_product_is_what_torch_computes(shape, gelu, packs, monkeypatch):
    if not packs:
        monkeypatch.setattr(products, "_packs", lambda: False)
    generator = torch.Generator().manual_seed(2)
    x, weight, bias = (torch.randn(*size, generator=generator) for size in ((*shape, 24), (36, 24), (36,)))
    product = Product(weight, bias, gelu)
    assert (product.packed is not None) == (packs and products._packs())
    expected = F.linear(x.double(), weight.double(), bias.double())
    expected = F.gelu(expected) if gelu else expected
    with torch.no_grad():
        found = product(x)
        across = product(x.transpose(0, 1))  # however the rows lie
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(across.transpose(0, 1), found, atol=1e-5, rtol=1e-5)


def test_half_precision_is_left_to_torch():
    weight, bias = torch.randn(8, 8).bfloat16(), torch.randn(8).bfloat16()
    product = Product(weight, bias)
    assert product.packed is None
    x = torch.randn(2, 3, 8).bfloat16()
    assert torch.equal(product(x), F.linear(x, weight, bias))


def test_a_build_without_the_operators_computes_the_same(monkeypatch):
    class Nothing:
        def __getattr__(self, name):
            raise AttributeError(name)

    monkeypatch.setattr(products, "_OPERATORS", Nothing())
    assert not products._packs.__wrapped__()
