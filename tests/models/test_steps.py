"""The list of steps is that of the file; tests/report/test_try.py runs it in a browser."""

import numpy as np
import pytest
import torch
from model_fakes import make_model

from sglib import SglibError
from sglib.models.files import Member, ModelFile
from sglib.models.networks import NETWORKS, count_parameters, register
from sglib.models.steps import read_steps


def test_each_weight_is_there_once_and_each_step_uses_what_came_before():
    model = make_model("ConvNN_1", "ConvNN_2", mirror=True)
    steps, weights = read_steps(model)
    assert weights.dtype == np.float32
    assert len(weights) == count_parameters(model.ensemble())
    used = [
        (number, value["value"])
        for number, step in enumerate(steps, 1)
        for given in step["given"].values()
        for value in (given if isinstance(given, list) else [given])
        if isinstance(value, dict) and "value" in value
    ]
    assert all(value < number for number, value in used)
    assert {value for _, value in used} == set(range(len(steps)))
    assert steps[-1]["name"] == "sigmoid"
    assert steps[-1]["shape"] == [1]


def test_a_mirror_image_is_taken_by_place():
    steps, _ = read_steps(make_model("ConvNN_2", mirror=True))
    flip = next(step for step in steps if step["index"] and step["index"][:2] == [31, 30])
    assert sorted(flip["index"]) == list(range(960))


def test_what_the_page_cannot_do_is_refused_by_name():
    class Odd(torch.nn.Module):
        def forward(self, images):
            return images.cumsum(3)[:, 0, 0, :2]

    try:
        register("Odd", Odd)
        with pytest.raises(SglibError, match="cumsum"):
            read_steps(ModelFile(name="odd", members=(Member("Odd"),), states=({},)))
    finally:
        NETWORKS.pop("Odd", None)
