"""workers: messages while runs are made; the workers themselves are tested with `run`."""

import time

import pytest

from sglib import SglibError
from sglib.studies.workers import in_parallel, with_progress


def test_progress_lines_are_plain_where_there_is_no_terminal(capsys, monkeypatch):
    clock = iter(range(0, 1000, 11))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    list(with_progress(iter([{}] * 3), 3, "paper", None))
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["paper: 1/3 runs, 22 s left", "paper: 2/3 runs, 11 s left"]


def test_an_address_without_a_scheduler_is_one_line(tiny_faces):
    pytest.importorskip("distributed")
    address = "tcp://127.0.0.1:1"
    with pytest.raises(SglibError, match=f"no Dask scheduler at {address}: .*"):
        list(in_parallel(print, [object()], tiny_faces, jobs=1, scheduler=address))
