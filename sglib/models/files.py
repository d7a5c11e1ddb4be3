"""Model files: what ships (networks, views, threshold) as safetensors and as ONNX."""

import contextlib
import dataclasses
import io
import json
import logging
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sglib import SglibError, __version__
from sglib.data.faces import CLASSES, HEIGHT, WIDTH
from sglib.files import replacing
from sglib.models import HEADS, SCALINGS
from sglib.models.ensemble import Ensemble
from sglib.models.networks import build

FORMAT_VERSION = 3
SUFFIX = ".safetensors"
OPSET, TOLERANCE = 18, 1e-5  # of ONNX; by how much its probabilities may differ from PyTorch's
_KEY = "sglib"  # of the JSON text in both kinds of file


@dataclasses.dataclass(frozen=True)
class Member:
    """One network of a model."""

    network: str  # a name in `networks.NETWORKS`
    head: str = "logit"  # or "sigmoid", as the paper prints it
    seed: int | None = None  # of the run that trained it

    def __post_init__(self) -> None:
        _check(self)


@dataclasses.dataclass(frozen=True, eq=False)
class ModelFile:
    """Networks, their weights, and how their outputs become an answer; checked by `_FIELDS`."""

    name: str  # what the model is called, for example "base"
    members: tuple[Member, ...]
    states: tuple[Mapping[str, np.ndarray], ...]  # for each member, parameter name → array
    scaling: str = "unit"  # this and the next: see `ensemble.Ensemble`
    mirror: bool = False
    threshold: float = 0.5  # a probability above it is called sunglasses
    data: str = ""  # name of the training set, for example "course-train"
    data_digest: str = ""  # sha256 (hex) of its content
    notes: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # recipe, seconds, …
    sglib_version: str = __version__  # of the library that wrote the file

    def __post_init__(self) -> None:
        _check(self)
        n, n_states = len(self.members), len(self.states)
        if not n or n != n_states:
            raise SglibError(f"expected weights for each of 1 or more members, got {n_states}, {n}")

    def header(self) -> dict[str, Any]:
        """Return all but the weights, as JSON takes it."""
        fields = vars(self) | {"members": [vars(member) for member in self.members]}
        return {name: value for name, value in fields.items() if name != "states"}

    def ensemble(self) -> Ensemble:
        """Return the module that answers; `SglibError` where weights do not fit their network."""
        networks = [build(member.network, head=member.head) for member in self.members]
        for network, member, state in zip(networks, self.members, self.states, strict=True):
            try:
                network.load_state_dict({k: torch.tensor(v) for k, v in state.items()})
            except (RuntimeError, TypeError) as error:
                reason = f"{member.network} ({' '.join(str(error).split())[:200]})"
                raise SglibError(f"{self.name}: weights do not fit {reason}") from error
        options = ("scaling", "mirror")
        return Ensemble(networks, **{option: getattr(self, option) for option in options})


_TEXT = ("a text", lambda v: isinstance(v, str))
_FIELDS: dict[str, tuple[str, Callable[[Any], bool]]] = {  # a foreign file may hold anything
    **dict.fromkeys(("data", "data_digest", "sglib_version", "network"), _TEXT),
    "name": ("a text that is not empty", lambda v: isinstance(v, str) and v != ""),
    "head": (" or ".join(HEADS), lambda v: v in HEADS),
    "seed": ("a whole number or none", lambda v: v is None or type(v) is int),
    "scaling": (" or ".join(SCALINGS), lambda v: v in SCALINGS),
    "mirror": ("true or false", lambda v: isinstance(v, bool)),
    "threshold": ("a number in [0, 1]", lambda v: type(v) in (int, float) and 0 <= v <= 1),
    "notes": ("names with values", lambda v: isinstance(v, Mapping)),
}


def _check(record: Member | ModelFile) -> None:
    for name, (expected, is_so) in _FIELDS.items():
        if name in vars(record) and not is_so(value := getattr(record, name)):
            raise SglibError(f"{name} must be {expected}, got {value!r:.60}")


def weights_dir() -> Path:
    """Return the folder of the models that ship with the package."""
    return Path(__file__).resolve().parents[1] / "weights"


def shipped() -> list[str]:
    """Return the sorted names of the models that ship with the package."""
    return sorted(path.stem for path in weights_dir().glob(f"*{SUFFIX}"))


def load(name_or_path: str | os.PathLike) -> ModelFile:
    """Read a shipped model by its name or a file by its path, or raise `SglibError`."""
    from safetensors import safe_open

    text = os.fspath(name_or_path)
    is_name = Path(text).name == text and not text.endswith(SUFFIX)
    path = weights_dir() / f"{text}{SUFFIX}" if is_name else Path(text).expanduser()
    if not path.is_file():
        known = f"shipped models: {', '.join(shipped())}; or give a {SUFFIX} file"
        raise SglibError(f"no model {text!r}: {known}" if is_name else f"{path}: no such file")
    try:
        with safe_open(path, framework="np") as file:
            header = json.loads((file.metadata() or {}).get(_KEY, "{}"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        version = header.pop("format_version", "none")
        if version != FORMAT_VERSION:
            raise SglibError(f"expected format version {FORMAT_VERSION} of sglib, got {version!r}")
        members = tuple(Member(**member) for member in header.pop("members"))
        states: tuple[dict[str, np.ndarray], ...] = tuple({} for _ in members)
        for key, value in tensors.items():
            index, _, name = key.partition(".")
            states[int(index)][name] = value
        return ModelFile(members=members, states=states, **header)
    except SglibError as error:
        raise SglibError(f"{path}: {error}") from error
    except Exception as error:  # safetensors' own, and all that odd content can lead to
        raise SglibError(f"{path}: damaged model file ({error})") from error


def save(path: str | os.PathLike, model: ModelFile) -> Path:
    """Write a model as safetensors, at a path that ends so, and return the path."""
    from safetensors.numpy import save as to_bytes

    header = json.dumps(model.header() | {"format_version": FORMAT_VERSION}, sort_keys=True)
    states = [(f"{i}.{name}", x) for i, s in enumerate(model.states) for name, x in s.items()]
    tensors = {name: np.ascontiguousarray(value) for name, value in states}
    return _write(path, SUFFIX, to_bytes(tensors, metadata={_KEY: header}))


def _write(path: str | os.PathLike, suffix: str, content: bytes) -> Path:
    path = Path(path)
    if path.suffix != suffix:
        raise SglibError(f"{path}: the name must end in {suffix}")
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise SglibError(f"{path}: cannot write ({error.strerror or error})") from error
    return path


def export_onnx(path: str | os.PathLike, model: ModelFile) -> Path:
    """Write a model for ONNX Runtime, compare its answers with PyTorch's, and return the path.

    `images`, uint8 (N, 30, 32), go in; `probability`, float32 (N,), of sunglasses comes out. The
    metadata's key "sglib" holds the header of the model as JSON, with height, width and classes.
    `SglibError` if the extra is missing, the file cannot be written, or computes something else.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  PyTorch's exporter needs it
    except ImportError as error:
        raise SglibError(
            f"an ONNX file needs {error.name}: pip install '.[study,export]'"
        ) from error
    ensemble = model.ensemble()
    probe = np.random.default_rng(0).integers(0, 256, (33, HEIGHT, WIDTH), dtype=np.uint8)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # of the exporter's own parts; stdout is for data
        proto = torch.onnx.export(
            ensemble,
            (torch.from_numpy(probe[:2]),),
            dynamo=True,
            input_names=["images"],
            output_names=["probability"],
            dynamic_shapes=({0: torch.export.Dim("N", min=1)},),
            opset_version=OPSET,
            verbose=False,
        ).model_proto
    facts = model.header() | {"height": HEIGHT, "width": WIDTH, "classes": CLASSES}
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, {_KEY: json.dumps(facts, sort_keys=True)})
    graph = proto.graph
    values = (*graph.input, *graph.output, *graph.initializer, *graph.value_info)
    for part in (graph, *graph.node, *values):
        del part.metadata_props[:]  # of the exporter: where in whose folders it found it
    content = proto.SerializeToString(deterministic=True)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for images in (probe, probe[:1]):
        (found,) = session.run(["probability"], {"images": images})
        if not np.abs(found - ensemble.predict(images)).max() <= TOLERANCE:
            raise SglibError(f"{path}: differs from the model by more than {TOLERANCE}")
    return _write(path, ".onnx", content)
