"""A model as a list of steps that need no PyTorch: what the page `try.html` runs.

The list is read from PyTorch's export of the whole model, whatever networks and views are in it.
"""

import numpy as np
import torch

from sglib import SglibError
from sglib.data.faces import HEIGHT, WIDTH
from sglib.models.files import ModelFile

_NOTHING = {"to", "dropout", "clone", "contiguous", "alias"}  # what changes no value
_MOVES = {"slice", "select", "flip", "pad", "cat", "stack", "permute", "transpose", "expand"}
_RESHAPES = {"unsqueeze", "squeeze", "view", "reshape", "flatten"}
_DONE = {  # by report/templates/browser/network.js, beside `scale` and `take`
    *("conv2d", "linear", "max_pool2d", "avg_pool2d", "mean", "std", "amax"),
    *("relu", "sigmoid", "tanh", "silu", "add", "sub", "mul", "div"),
}
_PAIRS = {"kernel_size", "stride", "padding", "dilation"}


def read_steps(model: ModelFile) -> tuple[list[dict[str, object]], np.ndarray]:
    """Return a model's steps from one picture to its probability, and its weights.

    Returns:
        steps: each has the `name` of an operation of PyTorch, what it is `given` by the names of
            its arguments, and the `shape` of its result. An array among them is `{"value": i}`, the
            result of step i (from 1; 0 is the picture), or `{"weights": [start, end], "shape": …}`.
            Batch normalisation has become `scale`; what only moves values is `take`, from the
            flattened inputs by `index` (None: all in order; -1: a zero).
        weights: float32, one after the other.

    Raises:
        SglibError: an operation is none of these; the message names it.
    """
    example = torch.zeros(1, HEIGHT, WIDTH, dtype=torch.uint8)
    reader = _Reader(torch.export.export(model.ensemble(), (example,)))
    return reader.steps, np.concatenate(reader.weights).astype(np.float32)


class _Reader:
    def __init__(self, program: torch.export.ExportedProgram) -> None:
        self.steps: list[dict[str, object]] = []
        self.weights: list[np.ndarray] = []
        self.known: dict[torch.fx.Node, object] = {}  # node → its operand, or its weights
        signature = program.graph_signature
        names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        for node in program.graph.nodes:
            if node.op == "placeholder":
                key = names.get(node.name)
                self.known[node] = program.state_dict[key] if key else {"value": 0}
            elif node.op == "call_function":
                self._read(node)

    def _read(self, node: torch.fx.Node) -> None:
        name = node.target.__name__.split(".")[0].removesuffix("_")
        if name in ("_assert_tensor_metadata", "std_mean"):  # the latter's two parts come by number
            return
        if name in _NOTHING:
            self.known[node] = self.known[node.args[0]]
            return
        index = None
        if name == "getitem":
            name, given = ("std", "mean")[node.args[1]], _given(node.args[0])
            given.setdefault("correction", int(given.get("unbiased", True)))
        elif name in _MOVES | _RESHAPES:
            index = _index(node) if name in _MOVES else None
            name, given = "take", {"tensors": list(node.all_input_nodes)}
        elif name == "batch_norm":
            name, given = "scale", self._scale(**_given(node))
        elif name in _DONE:
            given = _given(node)
        else:
            raise SglibError(f"the page cannot do {node.target}, which the model asks for")
        given = {key: self._ready(value) for key, value in given.items()}
        shape = list(node.meta["val"].shape)
        self.steps.append({"name": name, "given": given, "shape": shape, "index": index})
        self.known[node] = {"value": len(self.steps)}

    def _scale(self, *, input: torch.fx.Node, eps: float, **given: object) -> dict[str, object]:
        """Return batch normalisation as a factor and a summand for each channel."""
        names = ("running_mean", "running_var", "weight", "bias")
        mean, var, weight, bias = (self.known[given[name]].detach().double() for name in names)
        factor = weight / torch.sqrt(var + eps)
        return {"self": input, "factor": factor, "summand": bias - mean * factor}

    def _ready(self, value: object) -> object:
        """Return an argument as JSON takes it."""
        if isinstance(value, list | tuple):
            return [self._ready(one) for one in value]
        if isinstance(value, torch.fx.Node):
            value = self.known[value]
        if isinstance(value, torch.Tensor):
            start = sum(map(len, self.weights))
            self.weights.append(value.detach().numpy().ravel())
            return {"weights": [start, start + value.numel()], "shape": list(value.shape)}
        return value


def _index(node: torch.fx.Node) -> list[int]:
    """Return where each value of a result comes from: the operation is done on place numbers."""
    numbers, start = {}, 1  # from 1, since what is filled up gets zeros
    for given in node.all_input_nodes:
        shape = given.meta["val"].shape
        numbers[given] = torch.arange(start, start + shape.numel()).double().view(shape)
        start += shape.numel()
    args, kwargs = torch.fx.map_arg((node.args, node.kwargs), numbers.__getitem__)
    return (node.target(*args, **kwargs).flatten().long() - 1).tolist()


def _given(node: torch.fx.Node) -> dict[str, object]:
    """Return the arguments of an operation by their names, without types and layouts."""
    given = {}
    for i, argument in enumerate(node.target._schema.arguments):
        default = node.kwargs.get(argument.name, argument.default_value)
        value = node.args[i] if i < len(node.args) else default
        if argument.name in _PAIRS and isinstance(value, int):
            value = [value, value]
        if value is None or isinstance(value, int | float | list | tuple | torch.fx.Node):
            given[argument.name] = value
    return given
