"""One small site for all tests of the pages."""

from pathlib import Path

import nbformat
import pytest
from report_fakes import executed

from sglib.report.compare import write_comparison
from sglib.report.pages import write_site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of two executed notebooks, a smaller one published before."""
    folder, published = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("published")
    for name in ("00_first", "01_second"):
        nbformat.write(executed(name), folder / f"{name}.ipynb")
    earlier = executed("00_first", profile="full", data="course")
    nbformat.write(earlier, published / "00_first.ipynb")
    write_site(folder, published=published, command="sglib report --data <x>")
    compared = folder / "compare"
    compared.mkdir()
    for number, profile in enumerate(("smoke", "paper"), start=1):
        nbformat.write(executed("00_first", profile=profile), compared / f"00_first-{number}.ipynb")
    sets = [{"profile": "smoke", "seeds": 2}, {"profile": "paper <b>", "seeds": 20}]
    write_comparison(compared, sets, command="sglib report --set …")
    return folder
