"""card: the table of files is read from the files."""

from sglib.report.card import model_files


def test_every_shipped_file_is_named_with_its_training_set():
    table = model_files().set_index("model")
    assert {"paper_1", "paper_2", "base", "best"} <= set(table.index)
    assert table.loc["paper_1", "network"] == "ConvNN_1"
    assert table["trained on"].str.contains("sha256").all()
    assert (table["networks"] == table["seeds"].str.count(",") + 1).all()
