"""loop: compiled once per machine, and denormal numbers off while it runs."""

import dataclasses
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from numba import njit

from sglib.studies.tables import BASELINE_2
from sglib.training.compiled import engine, fit_compiled, loop, warm_up
from sglib.training.schedule import make_schedule
from sglib.training.settings import FitData


@njit(nogil=True)
def half(x):
    return x * np.float32(0.5)


def are_flushed() -> bool:
    return half(np.float32(1e-40)) == 0


def test_denormals_are_zero_in_the_thread_of_the_run_and_for_its_time(tiny_faces, monkeypatch):
    inside = []
    monkeypatch.setattr(engine, "train_epochs", lambda *_run: inside.append(are_flushed()))
    row = dataclasses.replace(BASELINE_2, n_epochs=1)
    data = FitData(*[tiny_faces.images, tiny_faces.labels] * 2)
    schedule = make_schedule(row, len(data.train_images), 0)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(torch.set_flush_denormal, True).result()
        assert pool.submit(are_flushed).result()
        assert not are_flushed()  # here, in another thread
        pool.submit(torch.set_flush_denormal, False).result()
        pool.submit(fit_compiled, row, data, schedule).result()
        assert not pool.submit(are_flushed).result()
    assert inside[-1]


def test_the_loop_which_counts_no_references_leaves_none_behind(tiny_faces):
    row = dataclasses.replace(BASELINE_2, n_epochs=1, p_drop=0.5)
    data = FitData(*[tiny_faces.images, tiny_faces.labels] * 2)
    run = engine.prepare_run(row, data, make_schedule(row, len(data.train_images), 0))
    before = [sys.getrefcount(value) for value in (*run, *run.weights, *run.room)]
    engine.train(run)
    assert [sys.getrefcount(value) for value in (*run, *run.weights, *run.room)] == before


def test_another_process_compiles_nothing():
    warm_up()
    if not loop.train_epochs.stats.cache_path:
        pytest.skip("no place for a cache")
    code = (
        "from sglib.training.compiled import warm_up;"
        "from sglib.training.compiled.loop import train_epochs as t;"
        "warm_up(); print(len(t.stats.cache_hits), len(t.stats.cache_misses))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["1", "0"]


def test_the_cache_lies_in_a_folder_of_the_users_own(monkeypatch, tmp_path):
    monkeypatch.setattr("numba.config.CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert loop._cached_entry("digest").stats.cache_path.startswith(str(tmp_path / "sglib"))


def test_without_a_place_for_the_cache_it_still_compiles(monkeypatch):
    asked = []

    def refuse_cache(**options):
        asked.append(options)
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr(loop, "njit", refuse_cache)
    assert callable(loop._cached_entry("digest"))
    assert [options.get("cache", False) for options in asked] == [True, False]
    assert all(options["nogil"] for options in asked)
