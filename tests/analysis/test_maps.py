"""maps: models whose gaze is known are found to look there; distortions that grow."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sglib import SglibError
from sglib.analysis import maps
from sglib.data.faces import FaceSet
from sglib.data.splits import make_split
from sglib.models.networks import build
from sglib.studies.heldout import HeldOut
from sglib.training.fit import fit
from sglib.training.settings import Experiment

PLACE = np.s_[:, 10:14, 20:24]  # where the fake model looks


def dark_patch(images: np.ndarray) -> np.ndarray:
    """Say sunglasses as far as the patch is darker than 128."""
    return 1 / (1 + np.exp((images[PLACE].mean((1, 2)) - 128) / 20))


@pytest.fixture
def images() -> np.ndarray:
    images = np.full((2, 30, 32), 160, np.uint8)
    images[0][PLACE[1:]] = 90  # says sunglasses
    images[1][PLACE[1:]] = 200  # says open
    return images


class Fake(SimpleNamespace):
    """Answers as an ensemble does."""

    def one_view(self) -> "Fake":
        return self


def heldout(faces: FaceSet) -> list[HeldOut]:
    """Two groups; the second model is always wrong where the first is right."""
    rows, first = np.arange(len(faces)), np.isin(faces.subjects, ("p0", "p2"))
    models = {"a": Fake(predict=dark_patch), "wrong": Fake(predict=lambda x: 1 - dark_patch(x))}
    return [HeldOut(rows[held], models) for held in (first, ~first)]


@pytest.mark.parametrize(("size", "stride"), [(4, 1), (5, 2), (3, 2)])
def test_occlusion_peaks_where_the_model_looks(images: np.ndarray, size: int, stride: int) -> None:
    found = maps.occlusion_maps(dark_patch, images, np.array([1, 0]), size=size, stride=stride)
    assert found.shape == (2, 30, 32)
    for one in found:
        row, column = np.unravel_index(one.argmax(), one.shape)
        assert 10 <= row < 14
        assert 20 <= column < 24
        one[10 - size : 14 + size, 20 - size : 24 + size] = 0
        assert np.abs(one).max() < 1e-9
    other = maps.occlusion_maps(dark_patch, images, np.array([0, 1]), size=size, stride=stride)
    assert other.min() < 0  # against the class that is not there


def test_occlusion_is_a_mean_over_squares() -> None:
    """Where every square lowers the probability alike, so does every pixel, at the border too."""
    image = np.random.default_rng(0).integers(0, 256, (30, 32), dtype=np.uint8)

    def untouched(images: np.ndarray) -> np.ndarray:
        return np.where((images == image).all((1, 2)), 0.9, 0.4)

    found = maps.occlusion_maps(untouched, image[None], np.array([1]))
    assert found == pytest.approx(np.full((1, 30, 32), 0.5))


def test_occlusion_in_batches_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 30, 32), dtype=np.uint8)
    labels = np.array([0, 1, 1])
    whole = maps.occlusion_maps(dark_patch, images, labels, size=6, stride=4)
    monkeypatch.setattr(maps, "_BATCH", 1)
    parts = maps.occlusion_maps(dark_patch, images, labels, size=6, stride=4)
    assert np.array_equal(whole, parts)


def test_mean_maps_are_of_people_not_trained_on(tiny_faces: FaceSet) -> None:
    table = maps.mean_maps_by_pose(heldout(tiny_faces), tiny_faces)
    assert table["n"].sum() == 2 * len(tiny_faces)
    cell = table[table["model"] == "a"].iloc[0]
    its = (tiny_faces.pose == cell["pose"]) & (tiny_faces.labels == (cell["label"] == "sunglasses"))
    alone = maps.occlusion_maps(dark_patch, tiny_faces.images[its], tiny_faces.labels[its])
    assert cell["map"] == pytest.approx(alone.mean(0))
    few = maps.mean_maps_by_pose(heldout(tiny_faces), tiny_faces, n_images=1)
    assert set(few["n"]) <= {1, 2}
    unknown = FaceSet("x", tiny_faces.images, tiny_faces.ids, tiny_faces.labels)
    with pytest.raises(SglibError, match="poses are needed"):
        maps.mean_maps_by_pose([], unknown)


def test_robustness_over_strengths(tiny_faces: FaceSet) -> None:
    table = maps.robustness(
        heldout(tiny_faces), tiny_faces, strengths={"noise": (0, 0.3), maps.COURSE: (0,)}
    )
    assert len(table) == 2 * 3
    plain = table[(table["strength"] == 0) & (table["model"] == "a")]
    right = (dark_patch(tiny_faces.images) > 0.5) == tiny_faces.labels
    assert plain["accuracy"].tolist() == pytest.approx([right.mean()] * 2)
    assert set(table["n"]) == {4}
    assert table["unit"].tolist()[-1] == "times the test images'"
    both = table.pivot(index=["method", "strength"], columns="model", values="accuracy")
    assert (both["a"] + both["wrong"]).tolist() == pytest.approx([1] * 3)


@pytest.mark.parametrize("method", maps.STRENGTHS)
def test_distortions_start_at_nothing_and_grow(tiny_faces: FaceSet, method: str) -> None:
    none, some, much = (
        maps.distort_images(tiny_faces, method, maps.STRENGTHS[method][place])
        for place in (0, 1, 3)
    )
    assert np.array_equal(none, tiny_faces.images)
    change = [np.abs(x.astype(int) - tiny_faces.images).mean() for x in (some, much)]
    assert 0 < change[0] < change[1]
    again = maps.distort_images(tiny_faces, method, maps.STRENGTHS[method][1])
    assert np.array_equal(some, again)


def test_the_surest_pictures_are_the_least_and_most_likely_of_their_class(tiny_faces):
    row = Experiment(head="logit", n_epochs=2, batch_size=4)
    done = fit(row, tiny_faces, make_split(tiny_faces, "kfold"), seed=0)
    network = build(row.model, head=row.head)
    network.load_state_dict({name: torch.from_numpy(w) for name, w in done.weights.items()})
    with torch.no_grad():
        inputs = torch.from_numpy(tiny_faces.images)[:, None].float() / 255
        probs = network.eval()(inputs).softmax(1).numpy()[np.arange(40), tiny_faces.labels]
    images, found, titles = maps.surest(row, done, tiny_faces)
    order = np.argsort(probs)
    assert np.array_equal(images, tiny_faces.images[[*order[:2], *order[-2:]]])
    assert found.shape == (4, 30, 32)
    word = ("open", "sunglasses")[tiny_faces.labels[order[0]]]
    assert titles[0] == f"{word}\n{probs[order[0]]:.2f}"
