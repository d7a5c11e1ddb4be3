"""Photographs in a grid."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from sglib.analysis.plots.style import WIDTH, new


def gallery(images: np.ndarray, *, titles: Sequence[str] = (), n_columns: int = 16) -> Figure:
    """Draw photographs in a grid, black 0 to white 255, nothing interpolated.

    Args:
        images: uint8 (N, 30, 32).
        titles: a short text over each picture, or none.
        n_columns: pictures to a line.
    """
    n_lines = -(-len(images) // n_columns)
    height, width = images.shape[1:]
    head = 10 * n_columns // 7 if titles else 1  # pixels above each line
    # One picture of all pictures: an Axes for each would take a hundred times as long to draw.
    sheet = np.full((n_lines * (height + head), n_columns * (width + 1)), 255, dtype=np.uint8)
    ax = new(WIDTH * sheet.shape[0] / sheet.shape[1])
    for place, image in enumerate(images):
        line, column = divmod(place, n_columns)
        top, left = line * (height + head) + head, column * (width + 1)
        sheet[top : top + height, left : left + width] = image
        if titles:
            ax.text(left, top - 2, titles[place], va="baseline").set_in_layout(False)
    ax.imshow(sheet, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    ax.set_axis_off()
    return ax.figure
