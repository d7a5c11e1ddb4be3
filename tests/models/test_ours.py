import pytest
import torch

from sglib import SglibError
from sglib.models.networks import count_parameters
from sglib.models.ours import NETWORKS, FaceNet, Shape, build_network


def by_hand(shape: Shape) -> int:
    """Convolutions without bias, a gain and a bias per channel, a linear layer with bias."""
    n_in, total = 1, 0
    for n_out in shape.channels:
        total += 9 * n_in * n_out + 2 * n_out
        n_in = n_out
    return total + 2 * n_in + 2


@pytest.mark.parametrize("name", NETWORKS)
def test_count_by_hand(name: str) -> None:
    assert count_parameters(build_network(name)) == by_hand(NETWORKS[name])


def test_budgets_are_the_papers_networks() -> None:
    for ours, theirs in (("small", "ConvNN_2"), ("base", "ConvNN_1")):
        limit = count_parameters(build_network(theirs))
        assert count_parameters(build_network(ours)) <= limit


def test_shapes() -> None:
    shape = Shape((4, 6), (True, False), top=18)
    model = FaceNet(shape).eval()
    assert count_parameters(model) == by_hand(shape)
    images = torch.rand(3, 1, 30, 32)
    logits = model(images)
    assert logits.shape == (3, 2)
    assert torch.isfinite(model(torch.zeros(1, 1, 30, 32))).all()
    below = images.clone()
    below[:, :, 18:] = 0
    assert torch.equal(model(below), logits)
    assert torch.allclose(model(images * 0.5 + 0.2), logits, atol=0.2)


def test_paper_networks_come_with_a_logit_head() -> None:
    assert isinstance(build_network("ConvNN_1").head, torch.nn.Identity)


def test_refusals() -> None:
    with pytest.raises(SglibError, match="no network 'huge'; there are: small, light, base"):
        build_network("huge")
    with pytest.raises(SglibError, match="equally many"):
        FaceNet(Shape((4, 6), (True,)))
