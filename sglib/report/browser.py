"""The two pages that compute in the reader's browser: `try.html` and `live.html`.

Each is one file that loads nothing and sends nothing. A model's forward pass is generated from what
PyTorch's exporter says of its file, whatever networks are in it.
"""

import base64
import functools
import hashlib
import io
import json
from pathlib import Path

import jinja2
import numpy as np
import torch
from PIL import Image

from sglib import SglibError
from sglib.data.faces import HEIGHT, WIDTH
from sglib.data.synthetic import TEST_FIRST, render_faces
from sglib.models import files
from sglib.models.files import ModelFile
from sglib.models.networks import NETWORKS, count_parameters
from sglib.predict import crop

TEMPLATES = Path(__file__).with_name("templates")
MAX_BYTES = 400_000  # of try.html
PAPER_NETWORKS = ("ConvNN_1", "ConvNN_2")  # that live.html trains
_ALIASES = {"to", "dropout", "clone", "contiguous", "alias"}  # operations that change no value
_MOVES = {"slice", "select", "flip", "pad", "replicate_pad2d", "cat", "stack", "permute", "expand"}
_RESHAPES = {"unsqueeze", "squeeze", "view", "reshape", "flatten"}
_DONE = {  # by network.js
    *("conv2d", "linear", "max_pool2d", "avg_pool2d", "mean", "std", "amax"),
    *("relu", "sigmoid", "tanh", "silu", "add", "sub", "mul", "div"),
}


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
    faces = render_faces(first=TEST_FIRST, n_subjects=5)
    some = [np.flatnonzero((faces.subjects == who) & (faces.labels == label))[0]
            for who in np.unique(faces.subjects) for label in (0, 1)]  # fmt: skip
    framing = np.load(crop.RESOURCES / "framing.npy", allow_pickle=False)
    data = {
        "MODEL": describe(file),
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


def describe(model: ModelFile) -> dict[str, object]:
    """Return a model as `network.js` runs it: its steps, its weights and how it answers.

    Raises:
        SglibError: it does what `network.js` cannot do; the message names the operation.
    """
    example = torch.zeros(1, HEIGHT, WIDTH, dtype=torch.uint8)
    reader = _Reader(torch.export.export(model.ensemble(), (example,)))
    return {
        "name": model.name,
        "threshold": model.threshold,
        "steps": reader.steps,
        "weights": _text(np.concatenate(reader.weights).astype("<f4")),
    }


class _Reader:
    """Reads an exported program: each step gives a result, known by a number; 0 is the picture."""

    def __init__(self, program: torch.export.ExportedProgram) -> None:
        self.steps: list[dict[str, object]] = []
        self.weights: list[np.ndarray] = []
        self.known: dict[torch.fx.Node, object] = {}  # node → its number, or its weights
        names = program.graph_signature.inputs_to_parameters
        names = {**names, **program.graph_signature.inputs_to_buffers}
        for node in program.graph.nodes:
            if node.op == "placeholder":
                key = names.get(node.name)
                self.known[node] = program.state_dict[key] if key else {"value": 0}
            elif node.op == "call_function":
                self._read(node)

    def _read(self, node: torch.fx.Node) -> None:
        name = node.target.__name__.split(".")[0].removesuffix("_")
        if name in ("_assert_tensor_metadata", "std_mean"):  # the latter's parts follow by number
            return
        if name == "getitem":
            name, given = ("std", "mean")[node.args[1]], _given(node.args[0])
            given["correction"] = given.get("correction", int(given.get("unbiased", True)))
        else:
            given = _given(node)
        if name in _ALIASES:
            self.known[node] = self.known[node.args[0]]
            return
        step: dict[str, object] = {"name": name, "shape": list(node.meta["val"].shape)}
        if name in _MOVES | _RESHAPES:
            step |= {"name": "take", "index": self._index(node) if name in _MOVES else None}
            given = {"tensors": list(node.all_input_nodes)}
        elif name == "batch_norm":
            mean, var, weight, bias = (
                self.known[given[k]].detach().double()
                for k in ("running_mean", "running_var", "weight", "bias")
            )
            factor = weight / torch.sqrt(var + given["eps"])
            given = {"self": given["input"], "factor": factor, "summand": bias - mean * factor}
            step["name"] = "scale"
        elif name not in _DONE:
            raise SglibError(f"try.html cannot do {node.target}, which the model asks for")
        step["given"] = {key: self._ready(value) for key, value in given.items()}
        self.steps.append(step)
        self.known[node] = {"value": len(self.steps)}

    def _ready(self, value: object) -> object:
        """Return an argument as JSON: a result's number, a place in the weights, or itself."""
        if isinstance(value, list | tuple):
            return [self._ready(one) for one in value]
        if isinstance(value, torch.fx.Node):
            value = self.known[value]
        if isinstance(value, torch.Tensor):
            start = sum(map(len, self.weights))
            self.weights.append(value.detach().numpy().ravel())
            return {"weights": [start, start + value.numel()], "shape": list(value.shape)}
        return value

    @staticmethod
    def _index(node: torch.fx.Node) -> list[int]:
        """Return where each value comes from in the inputs, one after the other; -1: a zero."""
        numbers, start = {}, 1
        for given in node.all_input_nodes:
            shape = given.meta["val"].shape
            numbers[given] = torch.arange(start, start + shape.numel()).double().view(shape)
            start += shape.numel()
        args = torch.fx.map_arg((node.args, node.kwargs), numbers.__getitem__)
        return (node.target(*args[0], **args[1]).flatten().long() - 1).tolist()


def _given(node: torch.fx.Node) -> dict[str, object]:
    """Return the arguments of an operation by their names."""
    given = {}
    for i, argument in enumerate(node.target._schema.arguments):
        value = (
            node.args[i]
            if i < len(node.args)
            else node.kwargs.get(argument.name, argument.default_value)
        )
        if argument.name in ("kernel_size", "stride", "padding", "dilation") and isinstance(
            value, int
        ):
            value = [value, value]
        if value is None or isinstance(value, int | float | list | tuple | torch.fx.Node):
            given[argument.name] = value
    return given
