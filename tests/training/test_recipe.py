import dataclasses

import numpy as np
import pytest
import torch
from sglib.models.ours import build_network

from sglib import SglibError
from sglib.data.augment import Policy
from sglib.training.recipe import Recipe, fit_recipe, predict_probs, settle, to_input

QUICK = Recipe(network="small", n_epochs=3, batch_size=4)


@pytest.fixture
def eight() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (8, 30, 32), dtype=np.uint8), np.arange(8) % 2


@pytest.mark.parametrize("network", ["small", "base", "ConvNN_1", "ConvNN_2"])
def test_overfits_eight_images(network: str, eight) -> None:
    images, labels = eight
    recipe = Recipe(network=network, policy=Policy(), n_epochs=80, batch_size=8)
    trained = fit_recipe(recipe, images, labels, seed=0)
    assert trained.history["accuracy"][-1] == 1
    assert trained.history["loss"][-1] < 0.1
    probs = predict_probs(trained.model, images, mirror=False)
    assert ((probs > 0.5) == labels).all()


def test_same_seed_same_weights(eight) -> None:
    torch.manual_seed(1)
    first = fit_recipe(QUICK, *eight, seed=3)
    state = torch.random.get_rng_state()
    torch.manual_seed(2)  # the global generator must not matter
    again = fit_recipe(QUICK, *eight, seed=3)
    other = fit_recipe(QUICK, *eight, seed=4)
    for name, value in first.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
    assert np.array_equal(first.history["loss"], again.history["loss"])
    assert not np.array_equal(first.history["loss"], other.history["loss"])
    torch.manual_seed(1)
    assert torch.equal(state, torch.random.get_rng_state()), "the global generator was used"


def test_history_and_rate(eight) -> None:
    trained = fit_recipe(dataclasses.replace(QUICK, n_epochs=10), *eight, seed=0)
    assert {name: len(values) for name, values in trained.history.items()} == {
        "loss": 10,
        "accuracy": 10,
        "lr": 10,
    }
    lr = trained.history["lr"]
    assert (np.diff(lr[1:]) < 0).all()
    assert lr.max() <= QUICK.lr
    assert lr[-1] < 0.02 * QUICK.lr
    assert not trained.model.training
    assert trained.seconds > 0


def test_starting_weights(eight) -> None:
    first = fit_recipe(QUICK, *eight, seed=0).model.state_dict()
    still = dataclasses.replace(QUICK, lr=0.0)
    kept = fit_recipe(still, *eight, seed=1, initial=first).model.state_dict()
    assert torch.equal(kept["head.weight"], first["head.weight"])


def test_blend(eight) -> None:
    first = fit_recipe(QUICK, *eight, seed=0).model.state_dict()
    full = fit_recipe(QUICK, *eight, seed=1, initial=first).model.state_dict()
    half = dataclasses.replace(QUICK, blend=0.5)
    between = fit_recipe(half, *eight, seed=1, initial=first).model.state_dict()
    for name, value in between.items():
        if value.is_floating_point():
            assert torch.allclose(value, (first[name] + full[name]) / 2, atol=1e-6), name
    alone = fit_recipe(half, *eight, seed=0).model.state_dict()
    assert torch.equal(alone["head.weight"], first["head.weight"])


def test_teachers_take_the_place_of_labels(eight) -> None:
    images, labels = eight
    plain = dataclasses.replace(QUICK, policy=Policy())
    teacher = fit_recipe(dataclasses.replace(plain, n_epochs=60), images, labels, seed=0).model
    longer = dataclasses.replace(plain, n_epochs=80)
    student = fit_recipe(longer, images, labels, seed=1, teachers=[teacher]).model
    wrong = fit_recipe(longer, images, 1 - labels, seed=1, teachers=[teacher]).model
    assert torch.equal(student.state_dict()["head.weight"], wrong.state_dict()["head.weight"])
    answers = predict_probs(wrong, images, mirror=False, shift=0) > 0.5
    assert (answers == (predict_probs(teacher, images, mirror=False, shift=0) > 0.5)).all()


def test_prediction(eight) -> None:
    images, labels = eight
    models = [fit_recipe(QUICK, images, labels, seed=seed).model for seed in range(2)]
    probs = predict_probs(models, images)
    assert probs.shape == (8,)
    assert probs.dtype == np.float64
    assert np.allclose(probs, predict_probs(models, images, batch_size=3), atol=1e-6)
    assert np.allclose(probs, predict_probs(models, images[..., ::-1]), atol=1e-6)
    one = predict_probs(models[0], images, mirror=False, shift=0)
    assert not np.allclose(one, predict_probs(models[0], images[..., ::-1], mirror=False, shift=0))
    with torch.no_grad():
        plain = models[0](to_input(images)).double().softmax(1)[:, 1].numpy()
    assert np.allclose(one, plain)
    odds = [np.log(p / (1 - p)) for p in (predict_probs(m, images) for m in models)]
    assert np.allclose(np.log(probs / (1 - probs)), np.mean(odds, axis=0))
    assert predict_probs(models, images[:0]).shape == (0,)
    with pytest.raises(SglibError, match="at least one model"):
        predict_probs([], images)


def test_views_of_a_prediction(eight) -> None:
    images, labels = eight
    model = fit_recipe(QUICK, images, labels, seed=0).model
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2)), mode="edge")
    views = [padded[:, y : y + 30, x : x + 32] for y, x in ((2, 2), (0, 2), (4, 2), (2, 0), (2, 4))]
    views += [view[..., ::-1] for view in views]
    single = [predict_probs(model, view, mirror=False, shift=0) for view in views]
    odds = np.mean([np.log(p / (1 - p)) for p in single], axis=0)
    assert np.allclose(predict_probs(model, images, shift=2), 1 / (1 + np.exp(-odds)), atol=1e-6)


def test_input_is_checked() -> None:
    with pytest.raises(SglibError, match="images must be uint8"):
        to_input(np.zeros((2, 30, 32), np.float32))


def test_other_views_count_where_the_first_is_in_doubt():
    first = torch.tensor([-9.0, -4.0, -3.0, -2.0, 0.0, 1.0, 3.0, 4.5])
    mean = torch.full((8,), 10.0)
    expected = torch.tensor([-9.0, -4.0, 3.5, 10.0, 10.0, 10.0, 6.5, 4.5])
    assert torch.equal(settle(first, mean, 4.0), expected)
    assert torch.equal(settle(first, mean, None), mean)


def test_predict_probs_settles():
    images = np.random.default_rng(1).integers(0, 256, (40, 30, 32), dtype=np.uint8)
    model = build_network("small").eval()
    alone, every = (predict_probs(model, images, mirror=m, shift=s) for m, s in ((0, 0), (1, 1)))
    margins = [torch.from_numpy(np.log(p / (1 - p))) for p in (alone, every)]
    doubt = float(margins[0].abs().median())
    found = predict_probs(model, images, doubt=doubt)
    assert found == pytest.approx(settle(*margins, doubt).sigmoid().numpy(), abs=1e-9)
    sure = margins[0].abs().numpy() >= doubt
    assert found[sure] == pytest.approx(alone[sure], abs=1e-12)
    assert 10 < sure.sum() < 30
