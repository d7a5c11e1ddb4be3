"""models: tables of made-up runs, by hand and against scipy."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from flat_runs import answered, make_frame

from sglib.analysis import models
from sglib.data.faces import FaceSet


def copied(frame: pd.DataFrame, faces: FaceSet, sure: dict[str, float]) -> pd.DataFrame:
    """Add one copy of each photograph, answered rightly with the name's probability, p0 wrongly."""
    people = [faces.subjects[np.isin(faces.ids, ids)].tolist() for ids in frame["val_ids"]]
    labels = [faces.labels[np.isin(faces.ids, ids)].tolist() for ids in frame["val_ids"]]
    probs = [
        [
            prob if (label == 1) != (person == "p0") else 1 - prob
            for person, label in zip(whose, truth, strict=True)
        ]
        for prob, whose, truth in zip(frame["name"].map(sure), people, labels, strict=True)
    ]
    return frame.assign(copy_people=people, copy_labels=labels, copy_probs=probs, failed=False)


def test_the_table_of_our_models(tiny_faces: FaceSet) -> None:
    rows = answered(tiny_faces, "a", {"p1": 0.1}) + answered(tiny_faces, "b", {})
    frame = copied(make_frame(*rows), tiny_faces, {"a": 0.9, "b": 0.6})
    table = models.model_table(frame, tiny_faces)
    row = table.loc["a"]
    assert (row["wrong"], row["of"], row["worst"], row["people"]) == (1, 40, 0.9, 4)
    assert (row["clean"], row["copies"]) == pytest.approx((0.975, 0.75))
    assert row["low"] < row["clean"] < row["high"]
    assert row["new_low"] < row["low"]  # eight new people scatter more than their mean
    # three people of four are right
    assert row["log_loss"] == pytest.approx(-(3 * np.log(0.9) + np.log(0.1)) / 4)
    gain = models.gains(models.copy_scores(frame), [("a", "b")]).iloc[0]
    assert gain["less_loss"] == pytest.approx(table.loc["b", "log_loss"] - row["log_loss"])
    assert (gain["effect"], gain["people"]) == (0, 4)
    less = [np.log(0.9 / 0.6)] * 3 + [np.log(0.1 / 0.4)]
    expected = scipy.stats.t.interval(0.95, 3, np.mean(less), scipy.stats.sem(less))
    assert (gain["people_low"], gain["people_high"]) == pytest.approx(expected)
    assert np.isnan(gain["seeds_low"])  # one seed has no spread
