"""Model files: trained weights and what is needed to use them, in one safetensors file."""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sglib import SglibError, __version__
from sglib.files import replacing

FORMAT_VERSION = 1
SUFFIX = ".safetensors"
HEADS = ("sigmoid", "logit")
SCALINGS = ("unit", "symmetric")
MAX_BYTES = 500_000_000
_KEY = "sglib"  # of the JSON text in the safetensors header


@dataclasses.dataclass(frozen=True)
class Member:
    """One network of a model file.

    Args:
        network: name in the registry of networks, for example `ConvNN_1`.
        head: `sigmoid` (as the paper prints it) or `logit`.
        scaling: of the pixels, `unit` ([0, 1]) or `symmetric` ([-1, 1]).
        seed: of the run that trained it; None where it is not known.
    """

    network: str
    head: str = "logit"
    scaling: str = "unit"
    seed: int | None = None

    def __post_init__(self) -> None:
        for field, allowed in (("head", HEADS), ("scaling", SCALINGS)):
            if getattr(self, field) not in allowed:
                raise SglibError(
                    f"{field} must be {' or '.join(allowed)}, got {getattr(self, field)!r}"
                )


@dataclasses.dataclass(frozen=True, eq=False)
class ModelFile:
    """Networks, their weights, and how their outputs become a probability.

    The probability of sunglasses is `sigmoid(margin / temperature + bias)`, where the margin is
    the output for sunglasses minus the output for open, averaged over the networks and, with
    `mirror` and `shift`, over the picture's mirror image and its shifted copies (see
    `recipe.views`). With temperature 1 and bias 0 a single network gives the softmax over its two
    outputs, as its loss saw them.

    Args:
        name: what the model is called, for example `base`.
        members: one or several networks (an ensemble).
        states: for each member, parameter name → array.
        mirror: whether the mirror image is looked at too.
        shift: pixels; unless 0, the picture moved by so much in four directions is looked at too.
        doubt: margin above which, in absolute value, the first look at a picture stands alone (see
            `recipe.settle`); None: all views of every picture count.
        temperature: > 0; below 1 sharpens.
        bias: added to the scaled margin.
        threshold: probability in [0, 1] from which on the label is sunglasses.
        data: name of the training set, for example `course-train`.
        data_digest: sha256 (hex) of the training set's content.
        notes: anything else that JSON can hold (metrics, recipe, date).
        sglib_version: of the library that wrote the file.
    """

    name: str
    members: tuple[Member, ...]
    states: tuple[Mapping[str, np.ndarray], ...]
    mirror: bool = False
    shift: int = 0
    doubt: float | None = None
    temperature: float = 1.0
    bias: float = 0.0
    threshold: float = 0.5
    data: str = ""
    data_digest: str = ""
    notes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    sglib_version: str = __version__

    def __post_init__(self) -> None:
        if not self.members or len(self.members) != len(self.states):
            raise SglibError(
                f"{self.name}: expected as many members as states and at least one, "
                f"got {len(self.members)} and {len(self.states)}"
            )
        if not 0 <= self.threshold <= 1:
            raise SglibError(f"{self.name}: threshold must be in [0, 1], got {self.threshold}")
        if self.doubt is not None and not (np.isfinite(self.doubt) and self.doubt > 0):
            raise SglibError(f"{self.name}: doubt must be > 0 or None, got {self.doubt}")
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise SglibError(f"{self.name}: temperature must be > 0, got {self.temperature}")
        if not np.isfinite(self.bias):
            raise SglibError(f"{self.name}: bias must be a number, got {self.bias}")


def weights_dir() -> Path:
    """Return the folder of the model files that ship with the package."""
    return Path(__file__).resolve().parents[1] / "weights"


def shipped() -> list[str]:
    """Return the names of the models that ship with the package, sorted."""
    return sorted(path.stem for path in weights_dir().glob(f"*{SUFFIX}"))


def find(name_or_path: str | os.PathLike) -> Path:
    """Return the path of a model file, by the name of a shipped model or by path.

    A text without a folder and without the ending `.safetensors` is a name.

    Raises:
        SglibError: there is no such model or file.
    """
    text = os.fspath(name_or_path)
    is_name = isinstance(name_or_path, str) and not (
        text.endswith(SUFFIX) or os.sep in text or "/" in text
    )
    path = weights_dir() / f"{text}{SUFFIX}" if is_name else Path(text).expanduser()
    if path.is_file():
        return path
    if is_name:
        names = ", ".join(shipped()) or "none in this installation"
        raise SglibError(f"no model {text!r}: shipped models: {names}; or give a {SUFFIX} file")
    raise SglibError(f"{path}: no such model file")


def save(path: str | os.PathLike, model: ModelFile) -> Path:
    """Write a model file; it appears under its name only when it is complete.

    Args:
        path: ends in `.safetensors`.
        model: what to write.

    Raises:
        SglibError: the ending is another, or the file cannot be written.
    """
    from safetensors.numpy import save as to_bytes

    path = Path(path)
    if path.suffix != SUFFIX:
        raise SglibError(f"{path}: a model file must end in {SUFFIX}")
    header = {
        field.name: getattr(model, field.name)
        for field in dataclasses.fields(model)
        if field.name != "states"
    }
    header["members"] = [dataclasses.asdict(member) for member in model.members]
    header["notes"] = dict(model.notes)
    header["format_version"] = FORMAT_VERSION
    tensors = {
        f"{i}.{name}": np.ascontiguousarray(value)
        for i, state in enumerate(model.states)
        for name, value in state.items()
    }
    data = to_bytes(tensors, metadata={_KEY: json.dumps(header, sort_keys=True)})
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise SglibError(f"{path}: cannot write ({error.strerror or error})") from error
    return path


def load(name_or_path: str | os.PathLike) -> ModelFile:
    """Read a model file, of this format version; nothing in it is executed.

    Raises:
        SglibError: there is no such file, or it is not one of ours, damaged or too new.
    """
    from safetensors import SafetensorError, safe_open

    path = find(name_or_path)
    if path.stat().st_size > MAX_BYTES:
        raise SglibError(f"{path}: larger than a model file may be ({MAX_BYTES} bytes)")
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            if _KEY not in metadata:
                raise SglibError(f"{path}: a safetensors file, but not a model of sglib")
            header = json.loads(metadata[_KEY])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise SglibError(f"{path}: damaged model file ({error})") from error
    return _parse(path, header, tensors)


def _parse(path: Path, header: dict, tensors: dict[str, np.ndarray]) -> ModelFile:
    version = header.get("format_version") if isinstance(header, dict) else None
    if version != FORMAT_VERSION:
        raise SglibError(
            f"{path}: model file of format version {version}; this sglib reads {FORMAT_VERSION}"
        )
    try:
        del header["format_version"]
        members = tuple(Member(**member) for member in header.pop("members"))
        states: tuple[dict[str, np.ndarray], ...] = tuple({} for _ in members)
        for key, value in tensors.items():
            index, _, name = key.partition(".")
            states[int(index)][name] = value
        return ModelFile(members=members, states=states, **header)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise SglibError(f"{path}: damaged model file ({error})") from error
