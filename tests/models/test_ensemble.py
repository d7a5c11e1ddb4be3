"""ensemble: views and averages against the same written out in numpy."""

import numpy as np
import pytest
import torch

from sglib import SglibError
from sglib.models.ensemble import Ensemble, to_input
from sglib.models.networks import build


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (8, 30, 32), dtype=np.uint8)


@pytest.fixture
def networks() -> list[torch.nn.Module]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return [build("face9k"), build("ConvNN_2")]


def odds(probs: np.ndarray) -> np.ndarray:
    return np.log(probs / (1 - probs))


def softmax(network: torch.nn.Module, x: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return network.eval()(x).double().softmax(1)[:, 1].numpy()


def test_one_network_and_one_view_give_its_softmax(images, networks) -> None:
    probs = Ensemble(networks[:1]).predict(images)
    assert probs.dtype == np.float64
    np.testing.assert_allclose(probs, softmax(networks[0], to_input(images)), rtol=1e-6)


def test_symmetric_pixels_run_from_minus_one_to_one(images, networks) -> None:
    probs = Ensemble(networks[1:], scaling="symmetric").predict(images)
    by_hand = torch.from_numpy(images)[:, None].float() / 127.5 - 1
    np.testing.assert_allclose(probs, softmax(networks[1], by_hand), rtol=1e-5)


def test_networks_are_averaged_in_log_odds(images, networks) -> None:
    each = [odds(Ensemble([network]).predict(images)) for network in networks]
    found = odds(Ensemble(networks).predict(images))
    np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-6)


def test_the_mirror_image_is_averaged_in_log_odds(images, networks) -> None:
    plain = Ensemble(networks)
    both = [odds(plain.predict(view)) for view in (images, images[..., ::-1])]
    ensemble = Ensemble(networks, mirror=True)
    np.testing.assert_allclose(odds(ensemble.predict(images)), np.mean(both, axis=0), atol=1e-6)
    np.testing.assert_allclose(ensemble.one_view().predict(images), plain.predict(images))


def test_forward_answers_as_predict_does_whatever_the_batch(images, networks, monkeypatch) -> None:
    ensemble = Ensemble(networks, mirror=True)
    monkeypatch.setattr("sglib.models.ensemble.BATCH", 3)
    probs = ensemble.predict(images)
    with torch.no_grad():
        one_by_one = torch.cat([ensemble(torch.from_numpy(one[None])) for one in images])
    assert one_by_one.dtype == torch.float32
    np.testing.assert_allclose(one_by_one.numpy(), probs, atol=1e-6)
    assert ensemble.predict(images[:0]).shape == (0,)


def test_what_it_refuses(images, networks) -> None:
    with pytest.raises(SglibError, match="one network or more"):
        Ensemble([])
    with pytest.raises(SglibError, match="scaling must be unit or symmetric, got 'z'"):
        Ensemble(networks, scaling="z")
    with pytest.raises(SglibError, match=r"images must be uint8 \(N, H, W\), got float64"):
        Ensemble(networks).predict(images / 255)
