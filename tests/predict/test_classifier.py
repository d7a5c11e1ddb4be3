import dataclasses
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from model_fakes import make_model, random_images, save_model, write_jpegs
from scipy.special import expit, logit, softmax
from sglib.models.ours import build_network

from sglib import SglibError
from sglib.models import files as weight_files
from sglib.models.ensemble import SECOND_LOOK, Scorer
from sglib.predict.classifier import Classifier, load
from sglib.training.recipe import predict_probs, settle
from sglib.training.reference import evaluate

IMAGES = random_images(20)


def test_probability_is_what_training_reports() -> None:
    model = make_model("ConvNN_1", head="sigmoid", temperature=1.0)
    network = build_network("ConvNN_1")
    network.head = torch.nn.Sigmoid()
    network.load_state_dict({k: torch.from_numpy(v) for k, v in model.states[0].items()})
    x = torch.from_numpy(IMAGES).float().div(255).unsqueeze(1)
    _, _, expected = evaluate(network, x, torch.zeros(len(x), dtype=torch.int64))
    np.testing.assert_allclose(Classifier(model).probabilities(IMAGES), expected, atol=1e-6)


def test_ensemble_and_views_are_what_the_recipe_reports() -> None:
    model = make_model("small", "base", "small", mirror=True, shift=1, temperature=1.0)
    networks = []
    for member, state in zip(model.members, model.states, strict=True):
        network = build_network(member.network).eval()
        network.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()})
        networks.append(network)
    expected = predict_probs(networks, IMAGES, mirror=True, shift=1)
    np.testing.assert_allclose(Classifier(model).probabilities(IMAGES), expected, atol=1e-6)
    flipped = Classifier(model).probabilities(IMAGES[:, :, ::-1].copy())
    np.testing.assert_allclose(flipped, expected, atol=1e-6)


def test_temperature_bias_and_scaling() -> None:
    plain = Classifier(make_model(temperature=1.0)).probabilities(IMAGES)
    warm = Classifier(make_model(temperature=0.1, bias=0.5)).probabilities(IMAGES)
    odds = np.log(plain / (1 - plain))
    np.testing.assert_allclose(warm, expit(odds / 0.1 + 0.5), atol=1e-5)
    file = make_model(temperature=1.0)
    member = weight_files.Member("ConvNN_2", scaling="symmetric")
    symmetric = Classifier(
        weight_files.ModelFile(name="s", members=(member,), states=file.states)
    ).probabilities(IMAGES)
    network = build_network("ConvNN_2")
    network.load_state_dict({k: torch.from_numpy(v) for k, v in file.states[0].items()})
    x = torch.from_numpy(IMAGES).float().div(127.5).sub(1).unsqueeze(1)
    expected = softmax(network(x).detach().double().numpy(), axis=1)[:, 1]
    np.testing.assert_allclose(symmetric, expected, atol=1e-6)


def test_fused_equals_plain() -> None:
    for network in ("ConvNN_1", "ConvNN_2", "small", "base"):
        model = make_model(network, mirror=True)
        with torch.inference_mode():
            plain = Scorer(model)(torch.from_numpy(IMAGES))
        np.testing.assert_allclose(Classifier(model).probabilities(IMAGES), plain, atol=1e-5)


def test_predict_proba_and_predict_agree_over_inputs(tmp_path: Path) -> None:
    classifier = Classifier(make_model())
    probs = classifier.predict_proba(IMAGES)
    assert probs.shape == (20, 2)
    assert classifier.classes_.tolist() == ["open", "sunglasses"]
    np.testing.assert_allclose(probs.sum(1), 1)
    frame = classifier.predict(torch.from_numpy(IMAGES))
    assert frame.columns.tolist() == ["file", "label", "probability", "status"]
    np.testing.assert_array_equal(frame["probability"], probs[:, 1])
    assert frame["file"].tolist() == [str(i) for i in range(20)]
    assert set(frame["status"]) == {"ok"}
    called = frame["label"] == "sunglasses"
    assert (called == (frame["probability"] > 0.5)).all()
    assert 0 < called.sum() < 20

    paths = write_jpegs(tmp_path, 5)
    by_path = classifier.predict(paths)
    assert by_path["file"].tolist() == paths
    np.testing.assert_array_equal(by_path["probability"], classifier.predict_proba(paths)[:, 1])
    np.testing.assert_array_equal(by_path["probability"], classifier.predict(tmp_path).probability)
    assert classifier.predict(Path(paths[3])).probability[0] == by_path.probability[3]


def test_only_doubtful_pictures_are_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures, views = random_images(150), {"mirror": True, "shift": 1, "temperature": 1.0}
    alone, every = (
        Classifier(make_model("base", **settings)).probabilities(pictures)
        for settings in ({"temperature": 1.0}, views)
    )
    margins = np.abs(logit(alone))
    doubt = float(np.quantile(margins, 0.4))
    classifier = Classifier(make_model("base", doubt=doubt, **views))
    # a silent fall back to Python would only be slower
    calls = (classifier._score, classifier._first_look)
    assert all(isinstance(call, torch.jit.ScriptFunction) for call in calls)
    again = []
    see = classifier._score
    monkeypatch.setattr(classifier, "_score", lambda x: again.append(len(x)) or see(x))
    found = classifier.probabilities(pictures)
    assert again == [SECOND_LOOK] * math.ceil(60 / SECOND_LOOK)  # of 150
    both = [torch.from_numpy(logit(probs)) for probs in (alone, every)]
    np.testing.assert_allclose(found, settle(*both, doubt).sigmoid(), atol=1e-6)
    assert not np.allclose(found, alone, atol=1e-5)
    with torch.inference_mode():  # what is exported says the same
        exported = classifier.scorer(torch.from_numpy(pictures))
        np.testing.assert_allclose(exported, found, atol=1e-5)


@pytest.mark.parametrize("network", ["ConvNN_1", "base"])
@pytest.mark.parametrize("share", [0, 0.3])
def test_neighbours_do_not_change_an_answer(network: str, share: float) -> None:
    images, model = random_images(300), make_model(network, mirror=True, shift=1)
    if share:  # of the pictures that are looked at again
        margins = np.abs(
            logit(Classifier(make_model(network, temperature=1.0)).probabilities(images))
        )
        model = dataclasses.replace(model, doubt=float(np.quantile(margins, share)))
        _, doubtful = Classifier(model).scorer.first_look(torch.from_numpy(images))
        assert 50 < doubtful.sum() < 150
    classifier = Classifier(model)
    together = classifier.probabilities(images)
    for rows in (slice(0, 1), slice(7, 12), slice(100, 299), slice(None, None, -1)):
        np.testing.assert_array_equal(classifier.probabilities(images[rows].copy()), together[rows])


def test_threshold() -> None:
    classifier = Classifier(make_model(threshold=0.2))
    probs = classifier.probabilities(IMAGES)
    assert (classifier.predict(IMAGES)["label"].eq("sunglasses") == (probs > 0.2)).all()
    higher = classifier.predict(IMAGES, threshold=probs.max())
    assert set(higher["label"]) == {"open"}  # the threshold itself is not above it


def test_bad_file_is_a_row_for_predict_and_an_error_for_predict_proba(tmp_path: Path) -> None:
    (path,) = write_jpegs(tmp_path, 1)
    bad = tmp_path / "bad.jpg"
    bad.write_text("no")
    frame = Classifier(make_model()).predict([path, bad])
    assert frame["status"].tolist() == ["ok", "not a picture that can be read"]
    assert frame["label"].isna().tolist() == [False, True]
    assert frame["probability"].isna().tolist() == [False, True]
    with pytest.raises(SglibError, match=r"bad\.jpg: not a picture"):
        Classifier(make_model()).predict_proba([path, bad])


def test_nothing_in_nothing_out(tmp_path: Path) -> None:
    classifier = Classifier(make_model())
    assert classifier.predict_proba([]).shape == (0, 2)
    assert len(classifier.predict(tmp_path)) == 0


def test_wrong_arrays() -> None:
    classifier = Classifier(make_model())
    with pytest.raises(
        SglibError, match=r"expected uint8 \(N, 30, 32\), got float64 \(2, 30, 32\)"
    ):
        classifier.probabilities(np.zeros((2, 30, 32)))
    with pytest.raises(SglibError, match=r"got uint8 \(2, 32, 30\)"):
        classifier.probabilities(np.zeros((2, 32, 30), np.uint8))


def test_load(tmp_path: Path) -> None:
    path = save_model(tmp_path, "small", name="mine")
    classifier = load(path)
    assert repr(classifier) == "Classifier('mine', n_networks=1)"
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.probabilities(IMAGES), classifier.probabilities(IMAGES))
    with pytest.raises(SglibError, match=r"device must be .*, got 'warp'"):
        load(path, device="warp")
    if not torch.cuda.is_available():
        with pytest.raises(SglibError, match="device 'cuda' cannot be used here"):
            load(path, device="cuda")


def test_weights_of_another_network() -> None:
    model = make_model("ConvNN_2")
    member = weight_files.Member("ConvNN_1")
    wrong = weight_files.ModelFile(name="w", members=(member,), states=model.states)
    with pytest.raises(SglibError, match="w: weights do not fit ConvNN_1"):
        Classifier(wrong)
    nowhere = weight_files.ModelFile(
        name="w", members=(weight_files.Member("huge"),), states=model.states
    )
    with pytest.raises(SglibError, match="no network 'huge'"):
        Classifier(nowhere)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees(tmp_path: Path) -> None:
    model = make_model("base", mirror=True)
    expected = Classifier(model).probabilities(IMAGES)
    on_gpu = Classifier(model, device="cuda")
    np.testing.assert_allclose(on_gpu.probabilities(IMAGES), expected, atol=1e-5)
    paths = write_jpegs(tmp_path, 3)
    np.testing.assert_allclose(on_gpu.predict(paths).probability, expected[:3], atol=0.2)
