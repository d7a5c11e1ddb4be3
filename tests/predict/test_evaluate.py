"""evaluate: known answers are counted right, with intervals that keep their word."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
from click.testing import CliRunner, Result
from PIL import Image
from predict_fakes import save_onnx
from scipy import stats

from sglib import SglibError
from sglib.cli import main
from sglib.predict.evaluate import _student, interval, measures, read_labels

WEIGHTS = np.full((30, 32), 8 / 960)  # answers sigmoid(8 × brightness)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with eight blank pictures: the brighter, the more sunglasses."""
    save_onnx(tmp_path, weights=WEIGHTS)
    for i, gray in enumerate((0, 20, 40, 200, 60, 210, 220, 250)):
        Image.new("L", (32, 30), gray).save(tmp_path / f"{i}.png")
    return tmp_path


def table(folder: Path, *lines: str, head: str = "file,label,person") -> str:
    (folder / "labels.csv").write_text("\n".join((head, *lines)), encoding="utf-8")
    return str(folder / "labels.csv")


FOUR = [f"{i}.png,{('open', 'sunglasses')[i > 3]},{'ab'[i % 2]}" for i in range(8)]


def call(folder: Path, *words: object) -> Result:
    fixed = ["evaluate", folder, "--labels", folder / "labels.csv", "--model", folder / "fake.onnx"]
    return CliRunner().invoke(main, [*map(str, fixed), *map(str, words)], catch_exceptions=False)


def test_rates_and_the_threshold_for_a_wished_rate(folder: Path) -> None:
    table(folder, *FOUR)
    done = call(folder, "--threshold", "0.9", "--fpr", "0.3", "--group", "person")
    assert done.exit_code == 0, done.stderr
    assert "8 pictures, 4 with sunglasses\nnot scored: none\n" in done.stdout
    assert "over 2 groups (person)" in done.stdout
    # above 0.9 are those brighter than 70: of the open ones 3.png, of the others all but 4.png
    found = re.findall(r"^(accuracy|TPR|FPR).* (\d of \d)$", done.stdout, re.MULTILINE)
    assert found[:3] == [("accuracy", "6 of 8"), ("TPR", "3 of 4"), ("FPR", "1 of 4")]
    # one of four may be wrong: all above the second brightest open one, 2.png
    assert found[3:] == [("TPR", "4 of 4"), ("FPR", "1 of 4")]
    chosen = re.search(r"--threshold (\S+)", done.stdout)[1]
    again = call(folder, "--threshold", chosen)
    assert re.findall(r"^[TF]PR.* (\d of \d)$", again.stdout, re.MULTILINE)[:2] == [
        "4 of 4",
        "1 of 4",
    ]
    assert "over pictures, as if independent" in again.stdout


def test_scores_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    probs, labels = rng.random(300), rng.integers(0, 2, 300)
    text = "\n".join(measures(probs, labels, np.arange(300), 0.5, 0.05))
    assert f"{sklearn.metrics.brier_score_loss(labels, probs):.4f}" in text
    assert f"{sklearn.metrics.log_loss(labels, probs):.4f}" in text
    assert (
        f"accuracy               {sklearn.metrics.accuracy_score(labels, probs > 0.5):.4f}" in text
    )
    fpr, tpr, _ = sklearn.metrics.roc_curve(labels, probs, drop_intermediate=False)
    best = tpr[fpr <= 0.05].max()
    assert re.findall(r"TPR \(sunglasses\) +(\S+)", text)[1] == f"{best:.4f}"


def test_what_is_not_scored_is_counted(folder: Path) -> None:
    (folder / "bad.png").write_bytes(b"no")
    table(folder, *FOUR[:6], "bad.png,1,a", "gone.png,0,b")
    done = call(folder)
    assert done.exit_code == 1
    said = "2 without a label, 1 labels without a picture, 1 without an answer"
    assert f"not scored: {said}" in done.stdout
    assert "bad.png: not a picture that can be read" in done.stderr


def test_pictures_of_one_class_are_enough_for_its_rate(folder: Path) -> None:
    table(folder, *FOUR[:4])
    done = call(folder, "--threshold", "0.9")
    assert done.exit_code == 0
    assert re.search(r"TPR \(sunglasses\) +no such pictures", done.stdout)
    assert re.search(r"FPR \(open\) +0\.2500 .* 1 of 4", done.stdout)
    assert "--threshold" not in done.stdout


def test_the_papers_tags_name_pictures_by_number(folder: Path) -> None:
    table(folder, "0,open", "7,sunglasses", head="id,tag")
    assert "2 pictures, 1 with sunglasses" in call(folder).stdout


@pytest.mark.parametrize(
    ("lines", "head", "said"),
    [
        (["0.png,maybe"], "file,label", r"line 2: expected 0, open, 1, sunglasses, got 'maybe'"),
        (["0.png,1", "./0.png,1"], "file,label", "line 3: 0.png came before"),
        (["0.png,1,"], "file,label,person", "line 2: no person"),
        ([",1,a"], "file,label,person", "line 2: no file"),
        (["0.png,1"], "name,label", "no column 'id'; needs file and label, or id and tag"),
        (["0.png"], "file,label", "line 2: expected 0, open, 1, sunglasses, got None"),
    ],
)
def test_bad_labels_are_said(tmp_path: Path, lines: list[str], head: str, said: str) -> None:
    with pytest.raises(SglibError, match=said):
        read_labels(table(tmp_path, *lines, head=head), "person" if "person" in head else None)


def test_what_stops_it_is_one_line_and_status_two(folder: Path) -> None:
    assert "cannot read the labels" in call(folder).stderr
    table(folder, "other.png,1,a")
    assert "no picture with an answer has a label" in call(folder).stderr
    assert "no column 'camera'" in call(folder, "--group", "camera").stderr
    table(folder, *FOUR)
    for words in (["-o", folder / "0.png"], ["-o", folder / "labels.csv"]):
        done = call(folder, *words)
        assert done.exit_code == 2
        assert "it would be replaced" in done.stderr
    assert "cannot write" in call(folder, "-o", folder / "0.png" / "page.html").stderr


def test_the_page_shows_mistakes_and_runs_nothing(folder: Path) -> None:
    name = "<script>alert(1)<"
    os.rename(folder / "3.png", folder / f"{name}.png")
    table(folder, *FOUR[:3], f"{name}.png,0,b", *FOUR[4:])
    assert call(folder, "--threshold", "0.9", "-o", folder / "page.html").exit_code == 0
    page = (folder / "page.html").read_text()
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;.png" in page
    assert page.count("data:image/png;base64,") == 4  # two mistakes, what was seen beside each
    assert page.index("&lt;script") < page.index("4.png")  # 0.998 for open is worse than 0.87


def test_students_quantile() -> None:
    for df in (1, 2, 11, 300, 20_000):
        assert _student(df) == pytest.approx(stats.t.ppf(0.975, df), rel=2e-3)


def test_pictures_alone_have_wilsons_interval() -> None:
    hits = np.arange(1000) < 30
    wilson = stats.binomtest(30, 1000).proportion_ci(0.95, "wilson")
    np.testing.assert_allclose(interval(hits, np.arange(1000)), wilson, rtol=0.01)
    assert interval(hits, np.zeros(1000)) == (0, 1)


@pytest.mark.parametrize(("share", "alike"), [(0.02, 0.3), (0.1, 0.3), (0.1, 0.01), (0.5, 0.1)])
@pytest.mark.parametrize(("n_groups", "size"), [(8, 25), (12, 30)])
def test_intervals_hold_the_share(share: float, alike: float, n_groups: int, size: int) -> None:
    """Beta-binomial groups of different sizes: at least 93 in 100 intervals hold the true share."""
    rng, held = np.random.default_rng(0), []
    for _ in range(400):
        sizes = rng.integers(size // 2, size * 3 // 2 + 1, n_groups)
        groups = np.repeat(np.arange(n_groups), sizes)
        shares = rng.beta(*(np.array([share, 1 - share]) * (1 - alike) / alike), n_groups)
        low, high = interval(rng.random(len(groups)) < shares[groups], groups)
        held.append(low <= share <= high)
    assert np.mean(held) >= 0.91  # 0.93, and what 400 repetitions may be off
