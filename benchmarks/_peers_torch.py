"""The contestants built on PyTorch: the paper's procedure, eager, compiled, skorch, Lightning.

Each trains ConvNN_1 as the paper's baseline: sigmoid outputs into the cross entropy, Adam with
learning rate 0.002, one image a step, in the order it is told.
"""

import csv
import time
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from _task import LR, Task, Weights
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchvision import transforms

from sglib.models.networks import build


def network(initial: Weights) -> nn.Module:
    """Return ConvNN_1 with the weights that all contestants start from."""
    model = build("ConvNN_1", head="sigmoid")
    model.load_state_dict({name: torch.from_numpy(w.copy()) for name, w in initial.items()})
    return model


def numbers(model: nn.Module) -> Weights:
    """Return copies of a network's weights."""
    return {name: w.detach().numpy().copy() for name, w in model.state_dict().items()}


class Faces(Dataset):
    """A folder of JPEGs and a table of labels, as people write it."""

    def __init__(self, folder: Path) -> None:
        with (folder / "tags.csv").open(newline="") as file:
            self.rows = [(line["id"], int(line["class"])) for line in csv.DictReader(file)]
        self.folder = folder
        self.transform = transforms.ToTensor()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        name, label = self.rows[i]
        return self.transform(Image.open(self.folder / f"{name}.jpg")), label


class Paper:
    """The paper's procedure written plainly: files opened per step, DataLoader, Adam as it is."""

    def __init__(self, task: Task) -> None:
        self.dataset = Faces(task.folder)
        self.model = network(task.initial)
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LR)

    def train(self, order: np.ndarray) -> float:
        loader = DataLoader(self.dataset, batch_size=1, sampler=order.tolist())
        running_loss, n_right = 0.0, 0
        started = time.perf_counter()
        self.model.train()
        for images, labels in loader:
            self.optimizer.zero_grad()
            outputs = self.model(images)
            loss = self.criterion(outputs, labels)
            loss.backward()
            self.optimizer.step()
            running_loss += loss.item()
            n_right += (outputs.argmax(1) == labels).sum().item()
        return time.perf_counter() - started

    def weights(self) -> Weights:
        return numbers(self.model)


class Eager:
    """The best eager loop we know: images in memory, functional calls, fused Adam, no metrics.

    PyTorch's own convolution is faster for one image than oneDNN's. Tried and slower: a module in
    place of functional calls; `torch.autograd.grad` with the fused Adam called directly.
    """

    def __init__(self, task: Task) -> None:
        model = network(task.initial)
        self.names = [name for name, _ in model.named_parameters()]
        self.parameters = list(model.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, lr=LR, fused=True)
        self.images = list(torch.from_numpy(task.scaled()).unsqueeze(1).split(1))
        self.labels = list(torch.from_numpy(task.labels).split(1))

    def train(self, order: np.ndarray) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what `flags` has to say about other hardware
            with torch.backends.mkldnn.flags(enabled=False):
                return self._train(order.tolist())

    def _train(self, rows: list[int]) -> float:
        w1, b1, w2, b2, w3, b3, w4, b4 = parameters = self.parameters
        images, labels, optimizer = self.images, self.labels, self.optimizer
        started = time.perf_counter()
        for i in rows:
            x = torch.relu(torch.max_pool2d(torch.conv2d(images[i], w1, b1, 1, (2, 1)), 2))
            x = torch.relu(torch.max_pool2d(torch.conv2d(x, w2, b2), 2))
            x = torch.relu(F.linear(x.view(1, 784), w3, b3))
            loss = F.cross_entropy(torch.sigmoid(F.linear(x, w4, b4)), labels[i])
            for p in parameters:
                p.grad = None
            loss.backward()
            optimizer.step()
        return time.perf_counter() - started

    def weights(self) -> Weights:
        pairs = zip(self.names, self.parameters, strict=True)
        return {name: p.detach().numpy().copy() for name, p in pairs}


class Compile:
    """torch.compile of a whole step, Adam included, as one graph behind a C++ wrapper.

    Tried and slower: compiling only forward and backward; without the C++ wrapper; convolutions
    written as matrix products.
    """

    def __init__(self, task: Task) -> None:
        model = network(task.initial)
        self.names = [name for name, _ in model.named_parameters()]
        self.parameters = [p.detach().clone() for p in model.parameters()]
        self.m = [torch.zeros_like(p) for p in self.parameters]
        self.v = [torch.zeros_like(p) for p in self.parameters]
        self.t = torch.zeros((), dtype=torch.float64)
        self.images = list(torch.from_numpy(task.scaled()).unsqueeze(1).split(1))
        self.labels = list(torch.from_numpy(task.labels).split(1))

        def loss(parameters: list[Tensor], image: Tensor, label: Tensor) -> Tensor:
            state = dict(zip(self.names, parameters, strict=True))
            return F.cross_entropy(torch.func.functional_call(model, state, (image,)), label)

        gradients = torch.func.grad(loss)

        def step(
            parameters: list[Tensor],
            first: list[Tensor],
            second: list[Tensor],
            t: Tensor,
            image: Tensor,
            label: Tensor,
        ) -> None:
            t += 1
            c1, c2 = 1 - 0.9**t, 1 - 0.999**t
            for p, m, v, g in zip(
                parameters, first, second, gradients(parameters, image, label), strict=True
            ):
                m.lerp_(g, 0.1)
                v.mul_(0.999).addcmul_(g, g, value=0.001)
                p.sub_(LR / c1 * m / ((v / c2).sqrt() + 1e-8))

        options = {"cpp.threads": 1, "cpp_wrapper": True}
        self.step = torch.compile(step, fullgraph=True, dynamic=False, options=options)

    def train(self, order: np.ndarray) -> float:
        rows, step, images, labels = order.tolist(), self.step, self.images, self.labels
        state = (self.parameters, self.m, self.v, self.t)
        with torch.no_grad():
            started = time.perf_counter()
            for i in rows:
                step(*state, images[i], labels[i])
            return time.perf_counter() - started

    def weights(self) -> Weights:
        pairs = zip(self.names, self.parameters, strict=True)
        return {name: p.numpy().copy() for name, p in pairs}


class Skorch:
    """skorch's NeuralNet on arrays in memory, fused Adam, no validation, no printing."""

    def __init__(self, task: Task) -> None:
        from skorch import NeuralNet

        self.rows: list[int] = []  # what the sampler yields, changed in place
        self.net = NeuralNet(
            network(task.initial),
            criterion=nn.CrossEntropyLoss,
            optimizer=torch.optim.Adam,
            optimizer__fused=True,
            lr=LR,
            max_epochs=1,
            batch_size=1,
            train_split=None,
            iterator_train__sampler=self.rows,
            callbacks__print_log=None,
            verbose=0,
        ).initialize()
        self.images, self.labels = task.scaled()[:, None], task.labels

    def train(self, order: np.ndarray) -> float:
        self.rows[:] = order.tolist()
        started = time.perf_counter()
        self.net.partial_fit(self.images, self.labels)
        return time.perf_counter() - started

    def weights(self) -> Weights:
        return numbers(self.net.module_)


class Lightning:
    """Lightning's Trainer without logger, checkpoints and bars ("barebones"), fused Adam.

    Only its epoch is timed, not what `fit` does before and after.
    """

    def __init__(self, task: Task) -> None:
        import lightning

        warnings.filterwarnings("ignore", module="lightning")

        class Module(lightning.LightningModule):
            def __init__(self) -> None:
                super().__init__()
                self.net = network(task.initial)
                self.optimizer = torch.optim.Adam(self.net.parameters(), lr=LR, fused=True)

            def training_step(self, batch: list[Tensor], _: int) -> Tensor:
                images, labels = batch
                return F.cross_entropy(self.net(images), labels)

            def configure_optimizers(self) -> torch.optim.Optimizer:
                return self.optimizer

            def on_train_epoch_start(self) -> None:
                self.started = time.perf_counter()

            def on_train_epoch_end(self) -> None:
                self.seconds = time.perf_counter() - self.started

        self.trainer = lambda: lightning.Trainer(
            max_epochs=1, accelerator="cpu", devices=1, barebones=True
        )
        self.module = Module()
        images = torch.from_numpy(task.scaled()).unsqueeze(1)
        self.dataset = TensorDataset(images, torch.from_numpy(task.labels))

    def train(self, order: np.ndarray) -> float:
        loader = DataLoader(self.dataset, batch_size=1, sampler=order.tolist())
        self.trainer().fit(self.module, loader)
        return self.module.seconds

    def weights(self) -> Weights:
        return numbers(self.module.net)
