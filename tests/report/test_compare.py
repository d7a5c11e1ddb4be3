"""compare: what stands side by side, and under which label."""

import re


def test_each_answer_and_figure_stands_under_its_parameters_and_smoke_is_marked(site):
    text = (site / "compare" / "index.html").read_text(encoding="utf-8")
    labels = re.findall("<h3>(.*?)</h3>", text)
    n_figures = text.count("<figure")
    assert n_figures > 2
    pair = ["profile = smoke, seeds = 2", "profile = paper &lt;b&gt;, seeds = 20"]
    assert labels == pair * (1 + n_figures // 2)
    smoke = "profile smoke, 12 epochs, no number means anything"
    answers, figures = text.split("<h2>Figures</h2>")
    assert answers.count(smoke) == 2  # the notice, and instead of an answer
    assert figures.count(smoke) == n_figures // 2


def test_notebooks_and_data_are_downloads_of_this_folder(site):
    folder = site / "compare"
    text = (folder / "index.html").read_text(encoding="utf-8")
    links = re.findall(r'href="([^"#]+)" ?(?:download)?', text)
    files = [link for link in links if not link.startswith("data:,")]
    assert {"00_first-1.ipynb", "00_first-2.ipynb"} <= set(files)
    assert all((folder / name).is_file() for name in files)
