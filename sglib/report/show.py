"""What notebooks show: provenance, figures, tables, findings and answers, for every kind of reader.

Each function displays at once, in JupyterLab, on GitHub and in a plain terminal. What the site
needs besides stands in the output's metadata under `sglib`, where `build.py` reads it. `save=`
writes into `$SGLIB_PUBLISH/figures` and `/tables`, and only while `sglib publish` sets it.
"""

import base64
import datetime
import html
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import display
from matplotlib.figure import Figure

from sglib import SglibError
from sglib.data.faces import FaceData
from sglib.files import git_commit, machine, replacing, versions
from sglib.report import drawing
from sglib.studies.profiles import PROFILES, Config

SYNTHETIC = (
    "Synthetic faces, drawn by the built-in renderer in the course set's structure: "
    "no number of this run is about real photographs."
)
STAND_INS = "The photographs are not published: the faces shown here are synthetic ones."
MAX_SVG = 120_000  # characters; a drawing with more is shown as PNG
Numbers = Mapping[str, tuple[float, ...]]
_page: dict[str, str] = {}  # of the running notebook: "data", "smoke", "stand_ins"


def provenance(faces: FaceData, config: Config, *, settings: str = "") -> None:
    """Show what the notebook's numbers come from, and what they must not be taken for.

    Under the profile `smoke` no answer and no caption is shown from here on.

    Args:
        faces: the data set in use, with its digests.
        config: the checked parameters.
        settings: anything else that the numbers depend on, in a few words.
    """
    profile, train = PROFILES[config.profile], faces.train
    smoke = f"profile smoke, {profile.max_epochs} epochs, no number means anything"
    _page.clear()
    _page.update(data=faces.name, smoke=smoke if profile.name == "smoke" else "")
    facts = [
        ("data", f"{train.name}: {len(train):,} images, sha256 {train.digest[:16]}…"),
        ("profile", f"{profile.name}: {profile.purpose}; {repetitions(config.n_seeds)}"),
        ("settings", settings),
        ("versions", ", ".join(f"{name} {number}" for name, number in versions().items())),
        ("commit", git_commit()),
        ("machine", machine()),
        # equal runs publish equal files
        ("time", "" if _publishing() else f"{datetime.datetime.now(datetime.UTC):%F %H:%M} UTC"),
    ]
    facts = [(name, value) for name, value in facts if value]
    notices = [SYNTHETIC] if faces.name == "synthetic" else []
    notices += [f"Only a test that everything runs: {smoke}."] if _page["smoke"] else []
    text = "\n".join([*notices, *(f"{name}: {value}" for name, value in facts)])
    lines = [f"**{notice}**\n" for notice in notices]
    lines += ["<details><summary>What these numbers come from</summary>\n"]
    lines += [f"- {name}: {value}" for name, value in facts] + ["\n</details>"]
    about = {"facts": facts, "notices": notices, "data": faces.name, "digest": train.digest,
             "profile": profile.name, "seeds": config.n_seeds}  # fmt: skip
    _show({"text/markdown": "\n".join(lines), "text/plain": text}, {"provenance": about})


def figure(
    fig: Figure,
    *,
    alt: str,
    caption: str = "",
    save: str = "",
    data: pd.DataFrame | None = None,
    lead: bool = False,
    controls: Any = None,
) -> None:
    """Show a figure and its caption: as SVG where that is small, else as PNG; close it.

    An artist whose `gid` holds a blank (`line.set_gid("seed 3, fold 2")`) shows it as a tooltip.

    Args:
        fig: laid out at the size it is shown at.
        alt: what it shows, for readers who cannot see it; computed from what is drawn.
        caption: names the interval and n.
        save: file name without ending for `reports/figures`.
        data: what is drawn, for download; default: read from lines, points and bars.
        lead: put it on the index page and in the README.
        controls: a widget that JupyterLab shows in the figure's place; pages keep the figure.

    Raises:
        SglibError: no alternative text, or photographs of a set that must not be published.
    """
    import matplotlib.pyplot as plt

    if not alt.strip():
        raise SglibError("show.figure: expected an alternative text, got none")
    photos = drawing.has_photos(fig)
    if photos and _publishing() and "synthetic" not in (_page.get("data"), _page.get("stand_ins")):
        raise SglibError("show.figure: photographs are not published; draw show.photos(faces)")
    data = drawing.points(fig) if data is None and not photos else data
    caption = _told(caption or alt) if caption or _page.get("smoke") else ""
    text = "" if photos else drawing.svg(fig)
    bundle, sizes = {"text/plain": f"[figure: {alt}]"}, {}
    if 0 < len(text) <= MAX_SVG:
        bundle["image/svg+xml"] = text
    else:
        png, width = drawing.png(fig)
        bundle["image/png"] = base64.b64encode(png).decode()
        sizes["image/png"] = {"width": width, "alt": alt}
    if data is not None:
        bundle["text/csv"] = drawing.csv(data)
    if controls is not None and not _publishing():  # a committed widget has no kernel behind it
        bundle = {**controls._repr_mimebundle_(), **bundle}
    about = {"alt": alt, "caption": caption, "photos": photos, "lead": lead, "name": save}
    _show(bundle, {"figure": about}, **sizes)
    if caption:
        _show({"text/markdown": f"**Figure.** {caption}", "text/plain": caption}, {"caption": True})
    _save("figures", save, "png", lambda: drawing.png(fig)[0])
    plt.close(fig)  # or the notebook would draw it a second time


def table(
    frame: pd.DataFrame,
    *,
    caption: str = "",
    save: str = "",
    fold: bool = False,
    lead: bool = False,
) -> None:
    """Show a table with its caption.

    Args:
        frame: the index is shown if it has a name; numbers are rounded for reading only.
        caption: what is shown, with unit, interval and n.
        save: file name without ending for `reports/tables`.
        fold: show the caption only, until it is opened.
        lead: put it on the index page and in the README.
    """
    flat = drawing.flat(frame)
    caption += f" ({_page['smoke']})" if _page.get("smoke") else ""
    markup = drawing.html_table(flat, caption="" if fold else caption)
    if fold:
        markup = f"<details><summary>{html.escape(caption or 'Table')}</summary>{markup}</details>"
    bundle = {"text/html": markup, "text/plain": f"{caption}\n{flat.to_string(index=False)}"}
    about = {"caption": caption, "fold": fold, "lead": lead, "name": save}
    _show(bundle | {"text/csv": drawing.csv(flat)}, {"table": about})
    _save("tables", save, "csv", drawing.csv(flat).encode)


def headline(text: str, *, numbers: Numbers | None = None, lead: bool = False) -> None:
    """Show the notebook's finding in one line, which the index page and the README repeat.

    Args:
        text: Markdown, computed from the run.
        numbers: (value, lower, upper end of its interval) by name in words; the site sets them
            beside the published ones and says whether a run on the same data agrees with them.
        lead: the one sentence that opens the index page and the README.
    """
    told = _told(text)
    numbers = {} if _page.get("smoke") else dict(numbers or {})
    about = {"headline": told, "numbers": numbers, "lead": lead}
    _show({"text/markdown": f"> {told}", "text/plain": told}, about)


def answer(text: str, *, numbers: Numbers | None = None) -> None:
    """Show the answer to the notebook's question: Markdown, computed from the run.

    Args:
        numbers: as for `headline`.
    """
    told = _told(text)
    about = {"answer": told, "numbers": dict(numbers or {})}
    _show({"text/markdown": f"> **Answer.** {told}", "text/plain": told}, about)


def photos(faces: FaceData) -> FaceData:
    """Return the set to draw faces from: the synthetic one, and say so, while publishing."""
    from sglib.data import load_data

    if not _publishing() or faces.name == "synthetic":
        return faces
    _page["stand_ins"] = "synthetic"
    _show({"text/markdown": f"*{STAND_INS}*", "text/plain": STAND_INS}, {"stand_ins": True})
    return load_data("synthetic")


def repetitions(n: int) -> str:
    """Return a number of repetitions in words."""
    return f"{n} repetition" + ("s" if n > 1 else "")


def _publishing() -> bool:
    return bool(os.environ.get("SGLIB_PUBLISH"))


def _told(text: str) -> str:
    """Return a sentence on one line; under the profile smoke, what stands in its place."""
    words = " ".join(str(text).split())
    if not words:
        raise SglibError("show: expected a sentence, got nothing")
    return f"This ran: {_page['smoke']}." if _page.get("smoke") else words


def _show(bundle: dict[str, str], about: dict[str, object], **metadata: object) -> None:
    display(bundle, raw=True, metadata={"sglib": about} | metadata)


def _save(folder: str, name: str, ending: str, content: Callable[[], bytes]) -> None:
    """Write a file to publish, if it has a name and `sglib publish` runs the notebook."""
    if name and _publishing():
        with replacing(Path(os.environ["SGLIB_PUBLISH"]) / folder / f"{name}.{ending}") as path:
            path.write_bytes(content())
