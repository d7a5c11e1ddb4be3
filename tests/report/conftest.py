"""One small site for all tests of the pages."""

from pathlib import Path

import nbformat
import pytest
from report_fakes import executed

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
    return folder
