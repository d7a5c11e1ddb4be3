"""display: what notebooks show carries its data in the output's metadata."""

import base64
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from sglib.report.show import answer, figure, git_commit, headline, inline_html, machine, provenance


def fake_data(name="synthetic"):
    parts = [
        SimpleNamespace(name=f"{name}-{part}", digest=part[0] * 64, __len__=None)
        for part in ("train", "test")
    ]
    return SimpleNamespace(name=name, train=Part(parts[0]), test=Part(parts[1]))


class Part:
    """A FaceSet as far as provenance reads it."""

    def __init__(self, part):
        self.name, self.digest = part.name, part.digest

    def __len__(self):
        return 1378


def test_provenance_records_data_digest_profile_and_versions():
    bundle, metadata = provenance(fake_data(), "smoke", seeds=2)._repr_mimebundle_()
    facts = metadata["sglib"]["provenance"]
    assert facts["data"] == "synthetic"
    assert [part["digest"][0] for part in facts["parts"]] == ["t", "t"]
    assert facts["profile"] == "smoke"
    assert {"Python", "torch", "numpy", "sglib"} <= set(facts["versions"])
    for text in bundle.values():
        for word in ("synthetic-train", "1,378", "t" * 16, "n_seeds = 2", facts["commit"]):
            assert word in text


def test_synthetic_data_is_announced_and_course_data_is_not():
    assert "Synthetic faces" in str(provenance(fake_data(), "smoke"))
    assert "Synthetic faces" not in str(provenance(fake_data("course"), "smoke"))


def test_commit_outside_a_checkout_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setenv("SGLIB_ROOT", str(tmp_path))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_commit() == "unknown"


def test_machine_does_not_name_the_host():
    import socket

    assert socket.gethostname() not in machine()


def test_answer_escapes_markup_and_keeps_emphasis():
    bundle, metadata = answer("**0.97** for `a_b`,\n file <script>x</script>")._repr_mimebundle_()
    assert metadata["sglib"]["answer"] == "**0.97** for `a_b`, file <script>x</script>"
    assert bundle["text/html"] == (
        "<p><strong>0.97</strong> for <code>a_b</code>, file &lt;script&gt;x&lt;/script&gt;</p>"
    )


def test_empty_answer_is_refused():
    with pytest.raises(ValueError, match="expected a sentence"):
        answer(" \n ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2 ** 3", "2 ** 3"),
        ("a ` b", "a ` b"),
        ("`x ** y` **z**", "<code>x ** y</code> <strong>z</strong>"),
        ("`a` ` <b>", "<code>a</code> ` &lt;b&gt;"),
    ],
)
def test_inline_marks_only_pairs(text, expected):
    assert inline_html(text) == expected


def test_headline_escapes_cells_and_caption():
    table = pd.DataFrame({"name": ["<script>x</script>"], "n": [10]})
    bundle, metadata = headline(table, caption="mean <b>")._repr_mimebundle_()
    assert metadata["sglib"]["headline"] is True
    assert "<script" not in bundle["text/html"]
    assert "<caption>mean &lt;b&gt;</caption>" in bundle["text/html"]


def test_figure_has_alt_text_width_and_the_same_bytes_twice():
    bundles = []
    for _ in range(2):
        drawing, ax = plt.subplots(figsize=(4, 2))
        ax.plot([0, 1], [0, 1])
        bundle, metadata = figure(drawing, alt="a rising line", caption="n = 1")._repr_mimebundle_()
        assert not plt.fignum_exists(drawing.number)
        bundles.append(bundle["image/png"])
    assert metadata["image/png"]["alt"] == "a rising line"
    assert 300 < metadata["image/png"]["width"] < 450
    assert base64.b64decode(bundles[0])[:4] == b"\x89PNG"
    assert bundles[0] == bundles[1]


def test_figure_without_alt_text_is_refused():
    drawing = plt.figure()
    with pytest.raises(ValueError, match="alternative text"):
        figure(drawing, alt=" ")
    plt.close(drawing)
