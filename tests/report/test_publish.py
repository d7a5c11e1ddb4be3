"""publish: tables, figures and the README's results come from the runs and nothing else."""

import pandas as pd
import pytest
from sglib.report.readme import MARKS

from sglib import SglibError
from sglib.data.faces import FaceData
from sglib.models import files as weight_files
from sglib.report import readme
from sglib.report.publish import publish
from sglib.studies.profiles import Config


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with a README, no shipped model of ours, and studies of one row each."""
    monkeypatch.setenv("SGLIB_ROOT", str(tmp_path))
    monkeypatch.setattr(weight_files, "shipped", lambda: ["paper_1"])
    (tmp_path / "README.md").write_text(f"before\n{MARKS[0]}\nEARLIER RESULTS\n{MARKS[1]}\nafter\n")
    return tmp_path


@pytest.mark.timeout(300)
def test_everything_is_written_and_repeats_itself(checkout, tiny_faces):
    faces = FaceData("tiny", tiny_faces, tiny_faces)
    written = publish(faces, Config("smoke", jobs=2))
    assert all(path.is_file() for path in written)
    names = {path.name for path in written}
    assert {"runs.csv", "effects.csv", "verdicts.csv", "printed.png", "README.md"} <= names
    assert not any("temporary" in path.name or path.name.startswith(".") for path in written)

    text = (checkout / "README.md").read_text()
    assert text.startswith(f"before\n{MARKS[0]}\n")
    assert text.endswith(f"{MARKS[1]}\nafter\n")
    assert "EARLIER" not in text
    assert "| `final_2` | 12 | 0.984" in text
    assert tiny_faces.digest[:16] in text

    runs = pd.read_csv(checkout / "reports/tables/runs.csv")
    twelve = pd.read_csv(checkout / "reports/tables/printed_and_reproduced.csv")
    one = twelve[(twelve["name"] == "baseline_2") & (twelve["measure"] == "val_acc")].iloc[0]
    mine = runs[(runs["name"] == "baseline_2") & (runs["scheme"] == "kfold")]
    mine = mine[mine["train_acc"] >= 0.7]
    assert one["mean"] == pytest.approx(mine["val_acc_mean"].mean(), rel=1e-4)
    assert one["n"] == len(mine)

    before = {path: path.read_bytes() for path in written}
    publish(faces, Config("smoke", jobs=2))
    assert all(path.read_bytes() == content for path, content in before.items())


def test_a_readme_without_marks_is_refused_and_kept(checkout):
    (checkout / "README.md").write_text("no marks here\n")
    with pytest.raises(SglibError, match=r"README\.md: the lines .* are missing"):
        readme.between_marks("new")
    assert (checkout / "README.md").read_text() == "no marks here\n"


def test_speed_comes_from_the_benchmarks_table(tmp_path):
    table = tmp_path / "benchmarks.csv"
    assert readme.speed_lines(table) == []
    table.write_text(
        "benchmark,what,value,unit,ratio,n,machine,versions\n"
        'train_step,"ours",20,µs/step,1,9,"Some CPU, 2 cores",\n'
        'train_step,a peer,50.4,µs/step,2.52,9,"Some CPU, 2 cores",\n'
        'train_step,not there,,not installed,,,"Some CPU, 2 cores",\n'
        'study,"sglib, 1 core(s)",20,s,50,3,m,\n'
        'study,"sglib, 2 core(s)",10.3,s,96.8,3,m,\n'
        'study,"scaling, 1 to 2 cores",1.934,×,,3,m,\n'
        'predict,"paper\'s loop, ConvNN_1",9,s,1,3,m,\n'
        'predict,"sglib predict, base",0.6,s,15,3,m,\n'
        'predict,"base, 1000 files to csv",9000,files/s,,1,m,\n'
    )
    text = "\n".join(readme.speed_lines(table))
    assert "on Some CPU, 2 cores" in text
    assert "takes 10 s, 97 times less" in text
    assert "from 1 to 2 cores it gains a factor of 1.93" in text
    assert "| a peer | 50 | 2.5 |" in text
    assert "not there" not in text
    assert "ConvNN_1): `base` 15.0." in text
