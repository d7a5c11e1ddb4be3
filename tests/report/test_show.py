"""show: everything is visible in a notebook, and the site finds the rest in the metadata."""

import base64
import io
import socket
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from PIL import Image
from report_fakes import caught, faces_drawn, fake_faces, lines

from sglib import SglibError
from sglib.files import machine
from sglib.report import drawing, show
from sglib.studies.profiles import Config


@pytest.fixture(autouse=True)
def _clean_page(monkeypatch):
    monkeypatch.setattr(show, "_page", {})
    monkeypatch.delenv("SGLIB_PUBLISH", raising=False)
    yield
    plt.close("all")


def provenance(data="synthetic", profile="paper"):
    return caught(lambda: show.provenance(fake_faces(data), Config(profile, seeds=2)))[0]


def test_provenance_names_data_digest_profile_and_versions():
    output = provenance()
    about = output.metadata.sglib.provenance
    assert (about.data, about.profile, about.seeds) == ("synthetic", "paper", 2)
    assert about.digest == "s" * 64
    for text in output.data.values():
        for word in ("1,378 images", "s" * 16, "2 repetitions", dict(about.facts)["commit"]):
            assert word in text
    assert socket.gethostname() not in machine()


@pytest.mark.parametrize(
    ("data", "profile", "notices"),
    [
        ("synthetic", "paper", 1),
        ("course", "paper", 0),
        ("course", "smoke", 1),
        ("synthetic", "smoke", 2),
    ],
)
def test_synthetic_data_and_test_runs_are_announced(data, profile, notices):
    output = provenance(data, profile)
    assert len(output.metadata.sglib.provenance.notices) == notices
    assert ("**Synthetic faces" in output.data["text/markdown"]) == (data == "synthetic")
    assert ("no number means anything" in output.data["text/plain"].split("data:")[0]) == (
        profile == "smoke"
    )


def test_smoke_tells_no_answer_no_finding_and_no_caption():
    provenance(profile="smoke")
    outputs = caught(
        lambda: show.answer("0.97"),
        lambda: show.headline("0.97"),
        lambda: show.figure(lines(), alt="lines", caption="0.97"),
    )
    shown = [o for o in outputs if "image/svg+xml" not in o.data]
    assert len(shown) == 3
    for output in shown:
        assert "0.97" not in str(output)
        assert "profile smoke, 12 epochs, no number means anything" in output.data["text/plain"]


def test_figure_is_svg_with_text_tooltips_and_its_data_and_the_same_twice():
    first, caption = caught(lambda: show.figure(lines(), alt="rising", caption="n = 3"))
    second, _ = caught(lambda: show.figure(lines(), alt="rising", caption="n = 3"))
    assert first == second
    assert not plt.get_fignums()  # closed, or the notebook would draw it again
    svg = first.data["image/svg+xml"]
    assert svg.startswith("<svg ")
    assert '<g class="hint"><title>run 0 &lt;a&gt;</title>' in svg
    assert ">0</text>" in svg  # selectable, not outlines
    assert ' id="line2d' not in svg  # several figures share a page
    assert "<style" not in svg
    assert first.metadata.sglib.figure.alt == "rising"
    assert caption.data["text/markdown"] == "**Figure.** n = 3"
    rows = pd.read_csv(io.StringIO(first.data["text/csv"]))
    assert rows.columns.tolist() == ["panel", "what", "x", "y"]
    assert rows.query("panel == 'panel 2' and what == 'run 2 <a>'")["y"].tolist() == [0, 2, 4, 6, 8]


def test_controls_stand_in_a_figures_place_in_jupyterlab_and_are_never_published(monkeypatch):
    view = "application/vnd.jupyter.widget-view+json"
    widget = SimpleNamespace(_repr_mimebundle_=lambda: {view: {"model_id": "m"}, "text/plain": "x"})

    def shown():
        return caught(lambda: show.figure(lines(), alt="rising", controls=widget))[0].data

    data = shown()
    assert data[view] == {"model_id": "m"}
    assert data["image/svg+xml"].startswith("<svg ")
    assert data["text/plain"] == "[figure: rising]"
    monkeypatch.setenv("SGLIB_PUBLISH", "folder")
    assert view not in shown()


def test_smoke_stands_at_every_table_and_figure_and_gives_no_numbers_to_compare():
    provenance(profile="smoke")
    table, _, caption, finding = caught(
        lambda: show.table(pd.DataFrame({"a": [0.97]}), caption="Accuracy", fold=True),
        lambda: show.figure(lines(), alt="lines"),
        lambda: show.headline("It works.", numbers={"accuracy": (0.97, 0.9, 1.0)}),
    )
    for text in (table.data["text/html"], table.data["text/plain"], caption.data["text/plain"]):
        assert "profile smoke, 12 epochs, no number means anything" in text
    assert finding.metadata.sglib.numbers == {}


def test_heavy_figures_and_faces_are_png_at_twice_the_size(monkeypatch):
    monkeypatch.setattr(show, "MAX_SVG", 1_000)
    monkeypatch.setattr(drawing, "MAX_POINTS", 29)
    (heavy,) = caught(lambda: show.figure(lines(), alt="many"))
    (faces,) = caught(lambda: show.figure(faces_drawn(), alt="a face"))
    for output in (heavy, faces):
        assert "image/svg+xml" not in output.data
        with Image.open(io.BytesIO(base64.b64decode(output.data["image/png"]))) as image:
            assert image.width // 2 == output.metadata["image/png"]["width"]
    assert faces.metadata.sglib.figure.photos
    assert "text/csv" not in faces.data
    assert "text/csv" not in heavy.data  # 30 points


def test_a_figure_without_alternative_text_and_empty_sentences_are_refused():
    with pytest.raises(SglibError, match="alternative text"):
        show.figure(lines(), alt=" ")
    for tell in (show.answer, show.headline):
        with pytest.raises(SglibError, match="expected a sentence"):
            tell(" \n ")


def test_table_escapes_aligns_and_keeps_full_numbers_for_download():
    frame = pd.DataFrame(
        {"acc": [0.123456789, None], "n": [1234, 2], "word": ["<i>", "b"], "ok": [True, False]},
        index=pd.Index(["a", "b"], name="row"),
    )
    (output,) = caught(lambda: show.table(frame, caption="Acc < 1"))
    html = output.data["text/html"]
    assert "<caption>Acc &lt; 1</caption>" in html
    assert '<th scope="row" style="text-align:left">a</th>' in html
    assert '<td style="text-align:right">0.123</td><td style="text-align:right">1,234</td>' in html
    assert "&lt;i&gt;" in html
    assert '<td style="text-align:right">–</td>' in html
    assert '<td style="text-align:left">yes</td>' in html
    assert output.data["text/csv"].splitlines()[1] == "a,0.123457,1234,<i>,True"
    (folded,) = caught(lambda: show.table(frame, caption="Acc < 1", fold=True))
    assert folded.data["text/html"].startswith("<details><summary>Acc &lt; 1</summary><table>")


def test_files_are_saved_only_while_publishing(tmp_path, monkeypatch):
    def both():
        show.figure(lines(), alt="lines", save="curves")
        show.table(pd.DataFrame({"a": [1]}), save="ones")

    monkeypatch.chdir(tmp_path)
    caught(both)
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("SGLIB_PUBLISH", str(tmp_path))
    caught(both)
    names = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert names == {"figures/curves.png", "tables/ones.csv"}
    assert (tmp_path / "tables/ones.csv").read_text() == "a\n1\n"
    assert "time" not in dict(provenance().metadata.sglib.provenance.facts)


def test_photographs_are_never_published(monkeypatch, tmp_path):
    import sglib.data as load

    real, synthetic = fake_faces("course"), fake_faces("synthetic")
    monkeypatch.setattr(load, "load_data", lambda name: synthetic)
    provenance("course")
    assert show.photos(real) is real
    monkeypatch.setenv("SGLIB_PUBLISH", str(tmp_path))
    provenance("course")
    with pytest.raises(SglibError, match=r"draw show\.photos\(faces\)"):
        show.figure(faces_drawn(), alt="a face")
    (said,) = caught(lambda: monkeypatch.setattr(show, "got", show.photos(real), raising=False))
    assert show.got is synthetic
    assert "synthetic" in said.data["text/plain"]
    caught(lambda: show.figure(faces_drawn(), alt="a synthetic face"))
