"""ONNX models and pictures for the tests of `predict`: made without PyTorch, nothing ships."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image


def make_onnx(
    *,
    weights: np.ndarray | None = None,
    metadata: object = None,
    output: str = "probability",
    last: str = "Sigmoid",
    **changes: object,
) -> bytes:
    """Return an ONNX file that answers sigmoid(sum of weights × pixels / 255).

    Args:
        weights: (30, 32); default: random ones around zero, so that answers spread around 1/2.
        metadata: text under the key `sglib`; default: what `sglib export` writes, with `changes`.
        output: name of the output.
        last: the operator that ends it.
    """
    if weights is None:
        weights = np.random.default_rng(5).normal(0, 0.2, (30, 32))
        weights -= weights.mean()
    constants = {"scale": np.float32(1 / 255), "weights": weights.reshape(-1, 1)}
    nodes = [
        helper.make_node("Cast", ["images"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["x", "scale"], ["unit"]),
        helper.make_node("Flatten", ["unit"], ["rows"]),
        helper.make_node("MatMul", ["rows", "weights"], ["column"]),
        helper.make_node("Squeeze", ["column", "one"], ["odds"]),
        helper.make_node(last, ["odds"], [output]),
    ]
    tensors = [
        numpy_helper.from_array(np.asarray(value, np.float32), name)
        for name, value in constants.items()
    ] + [numpy_helper.from_array(np.array([1], np.int64), "one")]
    graph = helper.make_graph(
        nodes,
        "fake",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 30, 32])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N"])],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    facts = {
        "name": "fake",
        "threshold": 0.5,
        "height": 30,
        "width": 32,
        "classes": ["open", "sunglasses"],
        "data": "tiny",
        "data_digest": "0" * 64,
        "sglib_version": "0.1.0",
    }
    text = json.dumps(facts | changes) if metadata is None else metadata
    helper.set_model_props(model, {"sglib": text})
    onnx.checker.check_model(model)
    return model.SerializeToString()


def save_onnx(folder: Path, *, name: str = "fake", **options: object) -> Path:
    """Write such a file and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.onnx"
    path.write_bytes(make_onnx(name=name, **options))
    return path


def random_images(n: int, *, seed: int = 0) -> np.ndarray:
    """Return smooth random pictures, uint8 (N, 30, 32): what a JPEG keeps."""
    coarse = np.random.default_rng(seed).integers(0, 256, (n, 5, 4), dtype=np.uint8)
    pictures = [Image.fromarray(one).resize((32, 30), Image.Resampling.BICUBIC) for one in coarse]
    return np.stack([np.asarray(picture) for picture in pictures])


def write_jpegs(folder: Path, n: int, *, seed: int = 0, quality: int = 75) -> list[str]:
    """Write 0.jpg to n-1.jpg, 30×32 grey, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [str(folder / f"{i}.jpg") for i in range(n)]
    for path, image in zip(paths, random_images(n, seed=seed), strict=True):
        Image.fromarray(image).save(path, quality=quality)
    return paths
