"""profiles: how much is run, and parameters that papermill would pass on unchecked."""

import dataclasses
import os

import pytest
import torch

from sglib import SglibError
from sglib.files import check_device, n_usable_cpus
from sglib.studies.profiles import PROFILES, Config
from sglib.studies.tables import PAPER, study


def test_smoke_limits_the_epochs_and_nothing_else():
    short = PROFILES["smoke"].shorten(study("paper"))
    assert PROFILES["smoke"].max_epochs < min(row.n_epochs for row in PAPER)
    assert [row.n_epochs for row in short.rows] == [PROFILES["smoke"].max_epochs] * 12
    restored = [
        dataclasses.replace(row, n_epochs=full.n_epochs)
        for row, full in zip(short.rows, PAPER, strict=True)
    ]
    assert restored == list(PAPER)
    assert dataclasses.replace(short, rows=PAPER) == study("paper")


def test_a_limit_never_makes_a_run_longer():
    limited = dataclasses.replace(PROFILES["smoke"], max_epochs=50).shorten(study("paper"))
    assert [row.n_epochs for row in limited.rows] == [min(row.n_epochs, 50) for row in PAPER]


@pytest.mark.parametrize("name", ["paper", "full"])
def test_the_other_profiles_run_what_is_printed(name):
    assert PROFILES[name].shorten(study("paper")) == study("paper")
    assert PROFILES[name].n_folds is None


def test_profiles_grow():
    assert list(PROFILES) == ["smoke", "paper", "full"]
    assert [profile.n_seeds for profile in PROFILES.values()] == [1, 1, 100]
    assert PROFILES["smoke"].n_folds == 2


def test_the_default_is_the_papers_protocol():
    config = Config()
    assert (config.profile, config.data, config.device) == ("paper", "auto", "cpu")
    assert config.n_seeds == 1
    assert config.n_jobs == n_usable_cpus()


def test_numbers_given_override_the_profiles():
    assert Config("full").n_seeds == 100
    assert Config("full", seeds=3).n_seeds == 3
    assert Config(jobs=7).n_jobs == 7


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("profile", "quick", "one of smoke, paper, full"),
        ("profile", None, "one of smoke, paper, full"),
        ("data", "real", "one of auto, course, synthetic, cmu"),
        ("seeds", 0, "a whole number from 1 to 10000"),
        ("seeds", -1, "a whole number from 1 to 10000"),
        ("seeds", True, "a whole number from 1 to 10000"),
        ("seeds", "3", "a whole number from 1 to 10000"),
        ("seeds", 2.0, "a whole number from 1 to 10000"),
        ("jobs", 0, "a whole number from 1 to 10000"),
        ("jobs", 10_001, "a whole number from 1 to 10000"),
    ],
)
def test_a_bad_parameter_is_refused_in_one_line(field, value, expected):
    with pytest.raises(SglibError) as caught:
        Config(**{field: value})
    assert str(caught.value) == f"{field} must be {expected}, got {value!r}"


def test_an_unusable_device_is_refused_in_one_line():
    with pytest.raises(SglibError, match=r"^device 'cuda:99' cannot be used here: .") as caught:
        Config(device="cuda:99")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("device", ["gpu", "", "meta", None])
def test_an_unknown_device_is_refused(device):
    with pytest.raises(SglibError, match=r"^device must be cpu, cuda, cuda:N or mps, got "):
        Config(device=device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu_is_refused():
    with pytest.raises(SglibError, match="device 'cuda' cannot be used here"):
        check_device("cuda")


DECLARED = 'profile = "smoke"\ndata = "auto"\nseeds = None\njobs = None\ndevice = "cpu"\nl2 = 0.0'


def notebook(injected: str, *more: str) -> dict[str, object]:
    """Return the globals of a notebook after papermill's cell."""
    names: dict[str, object] = {}
    exec(f"{DECLARED}\n{injected}", names)
    return names | {"In": ["", DECLARED, f"# Parameters\n{injected}\n", *more]}


def test_a_notebooks_parameters_are_its_config():
    names = notebook('profile = "full"\nseeds = 3\nl2 = 0.1', "%matplotlib inline", "n = 3")
    assert Config.of(names) == Config("full", seeds=3)


def test_a_misspelt_parameter_of_papermill_is_refused():
    with pytest.raises(SglibError, match="no parameter profil; there are: data, device, jobs, l2"):
        Config.of(notebook('profil = "full"'))


def test_usable_processors_are_those_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 3, 5}, raising=False)
    assert n_usable_cpus() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 9)
    assert n_usable_cpus() == 9
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert n_usable_cpus() == 1
