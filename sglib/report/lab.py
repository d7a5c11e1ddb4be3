"""The laboratory of notebook 10: settings by hand, curves that grow while a network trains.

Controls need ipywidgets (extra `[lab]`); without them a line says so and everything else works.
"""

import functools
import html
import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Image, clear_output, display
from matplotlib.figure import Figure

from sglib import SglibError
from sglib.analysis.maps import surest
from sglib.analysis.plots import curves, ours, style
from sglib.data.augment import METHODS, Chain
from sglib.data.faces import FaceSet
from sglib.data.splits import PEOPLE_BY, people_split
from sglib.models import HEADS
from sglib.models.ensemble import to_input
from sglib.models.networks import NETWORKS
from sglib.report import drawing
from sglib.studies.profiles import PROFILES, Config
from sglib.studies.tables import L2_SWEEP, study, words
from sglib.training.fit import growing
from sglib.training.settings import AUGMENTS, HISTORY, Experiment, Fit

try:
    import ipywidgets as widgets
except ImportError:
    widgets = None

MEASURES = ("train_acc", "val_acc")
N_KEPT = 4  # runs that are drawn together
N_SHOWN = 8  # pictures beside the sliders
NEEDED = "The controls need ipywidgets: pip install '.[lab]'"


class Playground:
    """Trains networks with chosen settings; keeps the curves of the last few, to compare.

    Args:
        faces: the labelled set with its people.
        config: its profile limits the epochs.
    """

    def __init__(self, faces: FaceSet, config: Config) -> None:
        self.faces, self.max_epochs = faces, PROFILES[config.profile].max_epochs or 100
        self.n_people = len(set(faces.subjects.tolist()))
        self.runs: dict[str, np.ndarray] = {}  # name → history
        self.fields: dict[str, Any] = {}  # setting → its control

    def train(
        self,
        experiment: Experiment,
        by: str = "by picture",
        n_people: int | None = None,
        *,
        seed: int = 0,
        show: Callable[[bytes], None] | None = None,
    ) -> tuple[Experiment, Fit, np.ndarray]:
        """Train once and draw the curve as it grows; return settings, run and validation rows.

        Args:
            experiment: the settings.
            by, n_people: see `people_split`; default all people but three.
            seed: of every draw.
            show: takes each drawing as PNG; default: the cell's output, emptied at the end.
        """
        experiment = replace(experiment, n_epochs=min(experiment.n_epochs, self.max_epochs))
        n_people = n_people or max(1, self.n_people - 3)
        split = people_split(self.faces, by, n_people, seed=seed)
        name = f"{words(study(experiment).name)}; {by}, {n_people} people, seed {seed}"
        others = [(key, value) for key, value in self.runs.items() if key != name][1 - N_KEPT :]
        for history, run in growing(experiment, self.faces, split, seed=seed):  # noqa: B007
            self.runs = {**dict(others), name: history}
            (show or _in_place)(_png(self.draw()))
        if show is None:
            clear_output(wait=True)
        return experiment, run, split.val

    def draw(self) -> Figure:
        """Draw the runs that are kept, the last one in colour."""
        return curves.growing(self.runs).figure

    def table(self) -> pd.DataFrame:
        """Return training and validation accuracy of the runs that are kept, after the last epoch.

        Returns:
            run, training, validation, gap: the difference of the two.
        """
        ends = [history[-1, [HISTORY.index(m) for m in MEASURES]] for history in self.runs.values()]
        table = pd.DataFrame(ends, columns=["training", "validation"])
        table.insert(0, "run", list(self.runs))
        return table.assign(gap=table["training"] - table["validation"])

    def controls(self) -> Any:
        """Return the widget that sets all this by hand; None, and a line, without ipywidgets."""
        if widgets is None:
            return print(NEEDED)
        most, last = self.max_epochs, self.n_people - 1
        self.fields = {
            "model": widgets.Dropdown(options=list(NETWORKS), description="network"),
            "head": widgets.Dropdown(options=HEADS, description="outputs"),
            "l2": widgets.Dropdown(options=L2_SWEEP, description="λ of L2"),
            "p_drop": widgets.FloatSlider(max=0.9, step=0.05, description="dropout"),
            "augment": widgets.Dropdown(options=AUGMENTS, description="augmented by"),
            "augment_fraction": widgets.FloatSlider(0.25, max=1, step=0.05, description="share"),
            "batch_size": widgets.Dropdown(options=(1, 8, 32), description="batch size"),
            "n_epochs": widgets.IntSlider(min(40, most), 1, most, description="epochs"),
            "by": widgets.Dropdown(options=PEOPLE_BY, description="split"),
            "n_people": widgets.IntSlider(max(1, last - 2), 1, last, description="people"),
            "seed": widgets.BoundedIntText(0, 0, 9999, description="seed"),
        }
        start = widgets.Button(description="Train", button_style="primary", icon="play")
        told, (picture, looks) = widgets.HTML(), (widgets.Image() for _ in range(2))
        picture.value, right = _png(self.draw()), widgets.VBox([picture, told])
        right.layout.align_items = "flex-start"

        def train(_: Any) -> None:
            values = {name: field.value for name, field in self.fields.items()}
            where = {name: values.pop(name) for name in ("by", "n_people", "seed")}
            start.disabled, told.value = True, ""
            show = functools.partial(setattr, picture, "value")
            try:
                *done, rows = self.train(Experiment(**values), **where, show=show)
                told.value = drawing.html_table(self.table())
                looks.value = _png(ours.explained(*surest(*done, self.faces.subset(rows))))
                right.children = [picture, told, looks]
            except SglibError as error:
                told.value = f"<b>{html.escape(str(error))}</b>"
            start.disabled = False

        start.on_click(train)
        return _beside([*self.fields.values(), start], right)


def sliders(faces: FaceSet, strengths: Mapping[str, float]) -> Any:
    """Return `changed` with a slider for each method of Table 1; None without ipywidgets.

    Args:
        faces: the set.
        strengths: name in `METHODS` → where its slider stands at first; the others at 0.
    """
    if widgets is None:
        return print(NEEDED)
    picture = widgets.Image(value=_png(changed(faces, strengths)))
    fields = {
        name: widgets.FloatSlider(
            strengths.get(name, 0),
            max=min(method.limit, 6 * method.usual),
            step=method.usual / 10,
            description=name.replace("_", " "),
        )
        for name, method in METHODS.items()
    }

    def update(_: Any) -> None:
        picture.value = _png(changed(faces, {name: f.value for name, f in fields.items()}))

    for field in fields.values():
        field.observe(update, "value")
    return _beside(list(fields.values()), picture)


def changed(faces: FaceSet, strengths: Mapping[str, float], *, seed: int = 0) -> Figure:
    """Draw a few pictures, and below each two copies changed by methods of Table 1.

    Args:
        faces: of which every so manieth is shown.
        strengths: name in `METHODS` → largest change.
        seed: of the draws.
    """
    images = faces.images[:: -(-len(faces) // N_SHOWN)]
    copies, draws = to_input(np.concatenate([images, images])), torch.Generator().manual_seed(seed)
    made = Chain(tuple(strengths.items()))(copies, draws)[:, 0].mul(255).round().clamp(0, 255)
    return style.gallery(np.concatenate([images, made.byte().numpy()]), n_columns=len(images))


def _beside(fields: list[Any], right: Any) -> Any:
    """Return controls, and what they change to the right of them."""
    for field in fields:
        if hasattr(field.style, "description_width"):  # a button has none
            field.style.description_width, field.layout.width = "9rem", "21rem"
    # from the top and left: pictures would be stretched to the height and width of others
    left = widgets.VBox(fields, layout={"flex": "0 0 auto"})
    return widgets.HBox([left, right], layout={"align_items": "flex-start"})


def _in_place(png: bytes) -> None:
    clear_output(wait=True)
    display(Image(png))


def _png(figure: Figure) -> bytes:
    made = io.BytesIO()
    figure.savefig(made, format="png")
    plt.close(figure)
    return made.getvalue()
