"""attention: models whose gaze is known are found to look there."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from sglib import SglibError
from sglib.analysis.maps import centre_of_mass, gradient_maps, mean_maps_by_pose, occlusion_maps
from sglib.data.faces import FaceSet
from sglib.studies.heldout import HeldOut

PLACE = np.s_[:, 10:14, 20:24]  # where the fake model looks


def dark_patch(images: np.ndarray, **views: object) -> np.ndarray:
    """Say sunglasses as far as the patch is darker than 128."""
    return 1 / (1 + np.exp((images[PLACE].mean((1, 2)) - 128) / 20))


@pytest.fixture
def images() -> np.ndarray:
    images = np.full((3, 30, 32), 160, np.uint8)
    images[0][PLACE[1:]] = 90  # says sunglasses
    images[1][PLACE[1:]] = 200  # says open
    images[2, :8] = 0  # mean below 128, but the patch is bright: open
    return images


@pytest.mark.parametrize(("size", "stride"), [(4, 1), (5, 2), (3, 2)])
def test_occlusion_peaks_where_the_model_looks(images, size, stride):
    maps = occlusion_maps(dark_patch, images, size=size, stride=stride)
    assert maps.shape == (3, 30, 32)
    for found in maps:
        assert found.max() > 0.03
        row, column = np.unravel_index(found.argmax(), found.shape)
        assert 10 <= row < 14
        assert 20 <= column < 24
        far = found.copy()
        far[10 - size : 14 + size, 20 - size : 24 + size] = 0
        assert np.abs(far).max() < 1e-9


def test_occlusion_by_hand(images):
    """Squares of the patch's size and place: one covers it wholly, the others touch no part."""
    maps = occlusion_maps(dark_patch, images[:1], size=2, stride=2)
    covered = images[0].copy()
    covered[10:12, 20:22] = round(images[0].mean())
    drop = dark_patch(images[:1])[0] - dark_patch(covered[None])[0]
    assert maps[0, 10:12, 20:22] == pytest.approx(drop)
    assert maps[0, 9, 20] == pytest.approx(0)


def test_occlusion_watches_the_class_that_is_asked_for(images):
    predicted = occlusion_maps(dark_patch, images)
    sunglasses = occlusion_maps(dark_patch, images, labels=np.ones(3, np.int64))
    assert predicted[0] == pytest.approx(sunglasses[0])
    assert predicted[1:] == pytest.approx(-sunglasses[1:])


def test_occlusion_reaches_every_pixel():
    """A model of the mean is moved by every square alike, so no pixel may be left out."""
    images = np.zeros((1, 30, 32), np.uint8)
    images[0, 0, 0] = images[0, -1, -1] = 250
    maps = occlusion_maps(lambda x: (x[:, 0, 0] + x[:, -1, -1]) / 600, images, size=5, stride=3)
    assert maps[0, 0, 0] > 0
    assert maps[0, -1, -1] > 0
    assert not np.isnan(maps).any()


def test_occlusion_is_a_mean_over_squares():
    """Where every square lowers the probability alike, so does every pixel, at the border too."""
    image = np.random.default_rng(0).integers(0, 256, (30, 32), dtype=np.uint8)

    def untouched(images: np.ndarray) -> np.ndarray:
        return np.where((images == image).all((1, 2)), 0.9, 0.4)

    maps = occlusion_maps(untouched, image[None], size=5, stride=2)
    assert maps == pytest.approx(np.full((1, 30, 32), 0.5))


def test_occlusion_in_batches_is_the_same(monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (5, 30, 32), dtype=np.uint8)
    whole = occlusion_maps(dark_patch, images, size=6, stride=4)
    monkeypatch.setattr("sglib.analysis.maps._BATCH", 1)
    assert np.array_equal(whole, occlusion_maps(dark_patch, images, size=6, stride=4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size must be 1 to 30 pixels, got 0"),
        ({"size": 31}, "got 31"),
        ({"size": 3, "stride": 4}, r"stride must be 1 to size \(3\) pixels, got 4"),
    ],
)
def test_occlusion_refuses(images, options, message):
    with pytest.raises(SglibError, match=message):
        occlusion_maps(dark_patch, images, **options)


def linear(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(960, 2)).eval()


def test_gradient_of_a_linear_model_is_its_weights():
    network = linear()
    images = np.random.default_rng(0).integers(0, 256, (5, 30, 32), dtype=np.uint8)
    weights = network[1].weight.detach().numpy()
    wanted = np.abs(weights[1] - weights[0]).reshape(30, 32)
    maps = gradient_maps(network, images, batch_size=2)
    assert maps.shape == (5, 30, 32)
    for found in maps:
        assert found == pytest.approx(wanted)
    assert all(p.grad is None for p in network.parameters())
    assert gradient_maps(network, images[:0]).shape == (0, 30, 32)


def fake_heldout(faces: FaceSet) -> list[HeldOut]:
    rows = np.arange(len(faces))
    first = np.isin(faces.subjects, ("p0", "p2"))
    return [
        HeldOut(
            group=group,
            people=(),
            rows=rows[held],
            train=rows[~held],
            predict={"a": dark_patch, "wrong": lambda x, **_: 1 - dark_patch(x)},
            networks={"a": linear(group), "wrong": linear(5)},
        )
        for group, held in enumerate((first, ~first))
    ]


def test_mean_maps(tiny_faces):
    parts = fake_heldout(tiny_faces)
    table = mean_maps_by_pose(parts, tiny_faces, stride=4)
    assert table["n"].sum() == 2 * len(tiny_faces)
    assert list(table.columns) == ["model", "pose", "label", "n", "map"]
    assert len(table.drop_duplicates(["model", "pose", "label"])) == len(table)
    for cell in table.itertuples():
        its = (tiny_faces.pose == cell.pose) & (tiny_faces.labels == (cell.label == "sunglasses"))
        assert cell.n == its.sum()
        images, labels = tiny_faces.images[its], tiny_faces.labels[its]
        alone = occlusion_maps(dark_patch, images, labels=labels, stride=4).mean(0)
        assert np.abs(alone).max() > 0.01
        assert cell.map == pytest.approx(alone if cell.model == "a" else -alone)


def test_mean_gradients_come_from_the_network_that_did_not_know_the_person(tiny_faces):
    parts = fake_heldout(tiny_faces)
    table = mean_maps_by_pose(parts, tiny_faces, kind="gradient")
    cell = next(table[table["model"] == "a"].itertuples())
    its = (tiny_faces.pose == cell.pose) & (tiny_faces.labels == (cell.label == "sunglasses"))
    images = tiny_faces.images
    wanted = sum(
        gradient_maps(part.networks["a"], images[part.rows[its[part.rows]]]).sum(0)
        for part in parts
    )
    assert cell.map == pytest.approx(wanted / its.sum())


def test_few_images(tiny_faces):
    table = mean_maps_by_pose(fake_heldout(tiny_faces), tiny_faces, kind="gradient", n_images=1)
    assert set(table["n"]) <= {1, 2}  # one per group that has any


def test_mean_maps_refuse(tiny_faces):
    parts = fake_heldout(tiny_faces)
    with pytest.raises(SglibError, match="kind must be one of occlusion, gradient, got 'x'"):
        mean_maps_by_pose(parts, tiny_faces, kind="x")
    with pytest.raises(SglibError, match="poses are needed"):
        mean_maps_by_pose(parts, dataclasses.replace(tiny_faces, pose=None))


def test_centre_of_mass():
    found = np.full((30, 32), -1.0)
    found[4, 10], found[8, 10] = 3.0, 1.0
    assert centre_of_mass(found) == (5.0, 10.0)
