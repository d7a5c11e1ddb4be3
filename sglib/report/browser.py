"""The two pages that compute in the reader's browser: `try.html` and `live.html`.

Each is one file that loads nothing and sends nothing.
"""

import base64
import functools
import hashlib
import io
import json
from pathlib import Path

import jinja2
import numpy as np
from PIL import Image

from sglib import SglibError
from sglib.data.faces import HEIGHT, WIDTH
from sglib.data.synthetic import TEST_FIRST, render_faces
from sglib.models import files
from sglib.models.networks import NETWORKS, count_parameters
from sglib.models.steps import read_steps
from sglib.predict import crop

TEMPLATES = Path(__file__).with_name("templates")
MAX_BYTES = 400_000  # of try.html
PAPER_NETWORKS = ("ConvNN_1", "ConvNN_2")  # that live.html trains


def write_pages(folder: Path, *, model: str = "base") -> list[Path]:
    """Write both pages into a folder and return their paths.

    Args:
        folder: exists.
        model: the shipped model, or the path of a model file, that `try.html` runs.

    Raises:
        SglibError: the model does what the page cannot do, or makes it too large.
    """
    made = []
    for name, text in (("try", _try_page(model)), ("live", _live_page())):
        if name == "try" and len(text) > MAX_BYTES:
            raise SglibError(f"try.html with {model}: {len(text)} bytes, at most {MAX_BYTES}")
        made.append(folder / f"{name}.html")
        made[-1].write_text(text, encoding="utf-8")
    return made


@functools.cache
def _try_page(model: str) -> str:
    file = files.load(model)
    steps, weights = read_steps(file)
    faces = render_faces(first=TEST_FIRST, n_subjects=5)
    some = [np.flatnonzero((faces.subjects == who) & (faces.labels == label))[0]
            for who in np.unique(faces.subjects) for label in (0, 1)]  # fmt: skip
    framing = np.load(crop.RESOURCES / "framing.npy", allow_pickle=False)
    data = {
        "MODEL": {
            "name": file.name,
            "threshold": file.threshold,
            "steps": steps,
            "weights": _text(weights.astype("<f4")),
        },
        "FRAMING": [float(f"{x:.7g}") for x in framing],
        "EXAMPLES": {"pixels": _text(faces.images[some]), "labels": faces.labels[some].tolist()},
    }
    head = {
        "height": HEIGHT / crop._HEIGHT,
        "middle": HEIGHT / 2 - crop._BELOW * HEIGHT / crop._HEIGHT,
    }
    n_weights = count_parameters(file.ensemble())
    scripts = ("network", "pixels", "try")
    return _page("try", scripts, data, model=file, head=head, n_weights=n_weights)


@functools.cache
def _live_page() -> str:
    faces = render_faces()
    people, subjects = np.unique(faces.subjects, return_inverse=True)
    n = len(faces)
    across = next(i for i in range(int(n**0.5), 0, -1) if n % i == 0)
    # (rows, across, 30, 32) → one picture of them all, side by side
    tiles = faces.images.reshape(-1, across, HEIGHT, WIDTH).swapaxes(1, 2)
    png = io.BytesIO()
    Image.fromarray(tiles.reshape(-1, across * WIDTH)).save(png, "PNG", optimize=True)
    data = {
        "PICTURES": {
            "png": base64.b64encode(png.getvalue()).decode(),
            "labels": faces.labels.tolist(),
            "subjects": subjects.tolist(),
        },
        "SHAPES": {name: NETWORKS[name].keywords for name in PAPER_NETWORKS},
    }
    return _page(
        "live",
        ("trainer", "live"),
        data,
        n_images=n,
        n_people=len(people),
        people=[(i, i) for i in range(2, len(people) + 1)],
        networks=[(name, name) for name in PAPER_NETWORKS],
    )


def _page(name: str, scripts: tuple[str, ...], data: dict[str, object], **values: object) -> str:
    """Return a page whose policy allows its own scripts, by their digests, and nothing else."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True
    )
    read = {s: (TEMPLATES / "browser" / f"{s}.js").read_text(encoding="utf-8") for s in scripts}
    constants = [
        f"const {key} = {json.dumps(x, separators=(',', ':'))};" for key, x in data.items()
    ]
    # JSON may hold `</script>` in a text; nothing of ours does, and this keeps it so.
    parts = {"data": "\n".join(constants).replace("</", "<\\/")} | read
    digests = (hashlib.sha256(part.encode()).digest() for part in parts.values())
    digests = (f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    policy = (
        f"default-src 'none'; script-src {' '.join(digests)}; "
        "worker-src blob:; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
        "form-action 'none'"
    )
    sheets = [
        (TEMPLATES / s).read_text(encoding="utf-8") for s in ("style.css", "browser/pages.css")
    ]
    safe = jinja2.filters.FILTERS["safe"]
    return environment.get_template(f"browser/{name}.html.j2").render(
        scripts={key: safe(part) for key, part in parts.items()},
        policy=safe(policy),
        sheet=safe("\n".join(sheets)),
        **values,
    )


def _text(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
