"""Models for other programs: ONNX, TorchScript or safetensors.

ONNX and TorchScript hold all of it: `images`, uint8 (N, 30, 32) with 0 black and 255 white, go in
and `probability`, float32 (N,), of sunglasses, comes out. They are compared with the original
before they get their name.
"""

import contextlib
import io
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from sglib import SglibError, __version__
from sglib.data.faces import CLASSES, HEIGHT, WIDTH
from sglib.models import files as weight_files
from sglib.models.ensemble import Scorer
from sglib.models.files import ModelFile

OPSET = 18
SUFFIXES = {"onnx": ".onnx", "torchscript": ".pt", "safetensors": weight_files.SUFFIX}
TOLERANCE = 1e-5
_METADATA = "sglib.json"  # of the file inside a TorchScript archive


def export_model(
    model: str | os.PathLike, to: str, output: str | os.PathLike | None = None
) -> Path:
    """Write a model in another format and return the file's path.

    Args:
        model: name of a shipped model, or a model file.
        to: `onnx` (extra `[export]`), `torchscript` or `safetensors`.
        output: default: the model's name in the working directory.

    Raises:
        SglibError: no such model or format, an extra is missing, the file cannot be written, or
            what was written computes something else.
    """
    if to not in SUFFIXES:
        raise SglibError(f"export to one of {', '.join(SUFFIXES)}, got {to!r}")
    file = weight_files.load(model)
    target = Path(f"{file.name}{SUFFIXES[to]}" if output is None else output).expanduser()
    if to == "safetensors":
        return weight_files.save(target, file)
    scorer = Scorer(file)
    temp = target.with_name(f".{target.stem}.{os.getpid()}{SUFFIXES[to]}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        run = (_write_onnx if to == "onnx" else _write_torchscript)(scorer, file, temp)
        _compare(scorer, run, target)
        temp.replace(target)
    except OSError as error:
        raise SglibError(f"{target}: cannot write ({error.strerror or error})") from error
    finally:
        with contextlib.suppress(OSError):
            temp.unlink()
    return target


def _write_onnx(scorer: Scorer, file: ModelFile, path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Write the model and return what runs it: ONNX Runtime, without PyTorch."""
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  PyTorch's exporter needs it
    except ImportError as error:
        raise SglibError(f"--to onnx needs {error.name}: pip install 'sglib[export]'") from error
    with _quiet():
        program = torch.onnx.export(
            scorer,
            (_some_images(2),),
            dynamo=True,
            input_names=["images"],
            output_names=["probability"],
            dynamic_shapes=({0: torch.export.Dim("N", min=1)},),
            opset_version=OPSET,
            verbose=False,
        )
        proto = program.model_proto
    proto.producer_name, proto.producer_version = "sglib", __version__
    onnx.helper.set_model_props(proto, {k: str(v) for k, v in _describe(file).items()})
    onnx.checker.check_model(proto, full_check=True)
    path.write_bytes(proto.SerializeToString())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["probability"], {"images": images})[0]


def _write_torchscript(
    scorer: Scorer, file: ModelFile, path: Path
) -> Callable[[np.ndarray], np.ndarray]:
    with _quiet():
        traced = torch.jit.freeze(torch.jit.trace(scorer, _some_images(2), check_trace=False))
        torch.jit.save(traced, path, _extra_files={_METADATA: json.dumps(_describe(file))})
        again = torch.jit.load(path)
    with torch.inference_mode():
        return lambda images: again(torch.from_numpy(images)).detach().numpy()


def _describe(file: ModelFile) -> dict[str, object]:
    """Return what the exported file says about itself."""
    return {
        "model": file.name,
        "labels": ",".join(CLASSES),
        "threshold": file.threshold,
        "input": f"images: uint8 (N, {HEIGHT}, {WIDTH}), 0 black to 255 white",
        "output": "probability: float32 (N,), of sunglasses",
        "training_data": file.data,
        "training_data_sha256": file.data_digest,
        "sglib_version": file.sglib_version,
    }


def _compare(scorer: Scorer, run: Callable[[np.ndarray], np.ndarray], target: Path) -> None:
    """Raise if what was written differs from the original, for one image and for several."""
    for n in (1, 32):
        images = _some_images(n)
        with torch.inference_mode():
            expected = scorer(images).numpy()
        gap = float(np.abs(run(images.numpy()) - expected).max())
        if not gap <= TOLERANCE:
            raise SglibError(f"{target}: differs from the model by {gap:.1e}; not written")


def _some_images(n: int) -> torch.Tensor:
    values = np.random.default_rng(n).integers(0, 256, (n, HEIGHT, WIDTH), dtype=np.uint8)
    return torch.from_numpy(values)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep exporters from talking: stdout is for data, and TorchScript warns of its own age."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
