"""fingerprint: another network or method has another one, other last bits do not."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from sglib.data.splits import Split
from sglib.models import networks
from sglib.studies import fingerprint as module
from sglib.studies.fingerprint import digest_of, fingerprint
from sglib.studies.tables import BASELINE_2, BY_NAME
from sglib.training import reference, schedule


def narrow(**options: object) -> nn.Module:
    return networks.ConvNN(padding=(1, 0), pool1=3, n_flat=256, n_hidden=4, **options)


class Squashed(networks.ConvNN):
    """As ConvNN_2, but for one function of the forward pass."""

    def forward(self, images, mask=None):
        return torch.tanh(super().forward(images, mask))


def squashed(**options: object) -> nn.Module:
    return Squashed(padding=(1, 0), pool1=3, n_flat=256, n_hidden=32, **options)


@pytest.mark.parametrize("builder", [narrow, squashed])
def test_an_edited_network_has_another_fingerprint(builder, tiny_faces, monkeypatch):
    before = fingerprint(BASELINE_2, tiny_faces, "kfold")
    assert fingerprint(BASELINE_2, tiny_faces, "kfold") == before
    monkeypatch.setitem(networks.NETWORKS, "ConvNN_2", builder)
    assert fingerprint(BASELINE_2, tiny_faces, "kfold") != before


def changed_order(experiment, n_train, seed):
    drawn = schedule.make_schedule(experiment, n_train, seed)
    return dataclasses.replace(drawn, order=drawn.order[:, ::-1].copy())


def mirrored_upside_down(images):
    return torch.flip(images, (-2,))


def first_eight_validate(faces, scheme, split_seed):
    rows = np.arange(len(faces))
    return Split(rows[8:], rows[:8])


@pytest.mark.parametrize(
    ("row", "place", "name", "other"),
    [
        ("baseline_1", module, "make_schedule", changed_order),
        ("flip_1", reference, "flip", mirrored_upside_down),
        ("baseline_1", module, "make_split", first_eight_validate),
    ],
    ids=["draws", "augmentation", "split"],
)
def test_another_method_has_another_fingerprint(row, place, name, other, tiny_faces, monkeypatch):
    module._trained.cache_clear()
    before = fingerprint(BY_NAME[row], tiny_faces, "kfold")
    module._trained.cache_clear()
    monkeypatch.setattr(place, name, other)
    assert fingerprint(BY_NAME[row], tiny_faces, "kfold") != before
    module._trained.cache_clear()


def test_the_last_bits_do_not_change_a_digest():
    values = np.random.default_rng(1).normal(size=1000)
    before = digest_of({"w": values})
    assert digest_of({"w": values * (1 + 1e-12)}) == before
    assert digest_of({"w": values.reshape(10, 100)}) != before
    values[7] += 0.01
    assert digest_of({"w": values}) != before
