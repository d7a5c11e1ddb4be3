"""card: the table of files is read from the files."""

import pandas as pd

from sglib.report.card import model_files, outside, people


def test_every_shipped_file_is_named_with_its_training_set():
    table = model_files().set_index("model")
    assert {"paper_1", "paper_2", "base", "best"} <= set(table.index)
    assert table.loc["paper_1", "network"] == "ConvNN_1"
    assert table["trained on"].str.contains("sha256").all()
    assert (table["networks"] == table["seeds"].str.count(",") + 1).all()


def test_people_are_lines_and_models_columns():
    rows = pd.DataFrame({"name": ["a", "b"], "person": ["p", "p"], "accuracy": [0.9, 1.0]})
    assert people(rows).to_dict("records") == [{"person": "p", "a": 0.9, "b": 1.0}]


def test_false_alarms_are_told_as_predicted_and_by_their_range():
    shares, fills = [0.3, 0.0, 0.1, 0.8], ["as predict fits it", "edge", "mean", "white"]
    rows = pd.DataFrame({"model": "a", "fill": fills, "called_sunglasses": shares, "hinted": 0.9})
    row = outside(rows).loc[0]
    assert (row["as_predicted"], row["hinted"]) == (0.3, 0.9)
    assert (row["least"], row["median"], row["most"]) == (0.0, 0.1, 0.8)
