"""The contestants built on JAX: a scan over jitted steps, and Keras 3."""

import os
import time

import numpy as np
from _task import LR, Task, Weights

# Before JAX is imported: one thread, as all others have.
os.environ["XLA_FLAGS"] = (
    "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1 "
    + os.environ.get("XLA_FLAGS", "")
)
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["KERAS_BACKEND"] = "jax"

import jax
import jax.numpy as jnp
from jax import lax

Params = dict[str, jax.Array]


def convolutions(p: Params, image: jax.Array) -> jax.Array:
    """Return the features (784,) of an image (30, 32), by XLA's own convolution and pooling."""

    def conv(x: jax.Array, name: str, padding: list[tuple[int, int]]) -> jax.Array:
        x = lax.conv_general_dilated(x, p[f"{name}.weight"], (1, 1), padding)
        return x + p[f"{name}.bias"][:, None, None]

    def pool(x: jax.Array) -> jax.Array:
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    x = jax.nn.relu(pool(conv(image[None, None], "conv1", [(2, 2), (1, 1)])))  # (1, 8, 16, 16)
    return jax.nn.relu(pool(conv(x, "conv2", [(0, 0), (0, 0)]))).ravel()


def products(p: Params, image: jax.Array) -> jax.Array:
    """Return the same by matrix products over patches laid out by hand, pooling by a reshape."""
    image = jnp.pad(image, ((2, 2), (1, 1)))  # (34, 34)
    taps = [(i, j) for i in range(3) for j in range(3)]
    patches = jnp.stack([image[i : i + 32, j : j + 32].ravel() for i, j in taps])  # (9, 1024)
    x = p["conv1.weight"].reshape(8, 9) @ patches + p["conv1.bias"][:, None]
    x = jax.nn.relu(x.reshape(8, 16, 2, 16, 2).max((2, 4)))  # (8, 16, 16)
    patches = jnp.stack([x[:, i : i + 14, j : j + 14].reshape(8, 196) for i, j in taps], axis=1)
    x = p["conv2.weight"].reshape(16, 72) @ patches.reshape(72, 196) + p["conv2.bias"][:, None]
    return jax.nn.relu(x.reshape(16, 7, 2, 7, 2).max((2, 4))).ravel()


class Jax:
    """jit of a scan over all steps, nothing left to Python; Adam written out."""

    features = staticmethod(convolutions)

    def __init__(self, task: Task) -> None:
        images, labels = jnp.asarray(task.scaled()), jnp.asarray(task.labels, dtype=jnp.int32)
        features = self.features

        def loss(p: Params, image: jax.Array, label: jax.Array) -> jax.Array:
            x = jax.nn.relu(p["fc1.weight"] @ features(p, image) + p["fc1.bias"])
            outputs = jax.nn.sigmoid(p["fc2.weight"] @ x + p["fc2.bias"])
            return -jax.nn.log_softmax(outputs)[label]

        def step(state: tuple, i: jax.Array) -> tuple[tuple, None]:
            p, m, v, t = state
            t += 1
            g = jax.grad(loss)(p, images[i], labels[i])
            m = jax.tree.map(lambda m, g: m + (g - m) * 0.1, m, g)
            v = jax.tree.map(lambda v, g: v + (g * g - v) * 0.001, v, g)
            c1, c2 = 1 - 0.9**t, 1 - 0.999**t
            p = jax.tree.map(lambda p, m, v: p - LR / c1 * m / (jnp.sqrt(v / c2) + 1e-8), p, m, v)
            return (p, m, v, t), None

        self.run = jax.jit(lambda state, rows: lax.scan(step, state, rows)[0], donate_argnums=0)
        p = {name: jnp.array(w) for name, w in task.initial.items()}
        zeros = [{name: jnp.zeros_like(w) for name, w in p.items()} for _ in range(2)]
        self.state = jax.block_until_ready((p, *zeros, jnp.float32(0)))

    def train(self, order: np.ndarray) -> float:
        rows = jnp.asarray(order, dtype=jnp.int32)
        started = time.perf_counter()
        self.state = jax.block_until_ready(self.run(self.state, rows))
        return time.perf_counter() - started

    def weights(self) -> Weights:
        return {name: np.array(w) for name, w in self.state[0].items()}


class JaxProducts(Jax):
    """The same with the convolutions rewritten by hand, which suits XLA's CPU compiler better."""

    features = staticmethod(products)


class Keras:
    """Keras 3 on JAX, `fit` on arrays in memory, the step compiled; only its epoch is timed."""

    def __init__(self, task: Task) -> None:
        import keras
        from keras import layers

        self.model = keras.Sequential(
            [
                keras.Input((30, 32, 1)),
                layers.ZeroPadding2D((2, 1)),
                layers.Conv2D(8, 3),
                layers.MaxPooling2D(2),
                layers.ReLU(),
                layers.Conv2D(16, 3),
                layers.MaxPooling2D(2),
                layers.ReLU(),
                layers.Flatten(),
                layers.Dense(40, activation="relu"),
                layers.Dense(2, activation="sigmoid"),
            ]
        )
        w = task.initial
        # PyTorch flattens channel, row, column; Keras row, column, channel
        fc1 = w["fc1.weight"].reshape(40, 16, 7, 7).transpose(2, 3, 1, 0).reshape(784, 40)
        kernels = (w["conv1.weight"], w["conv2.weight"])
        conv1, conv2 = (kernel.transpose(2, 3, 1, 0) for kernel in kernels)
        dense = (fc1, w["fc1.bias"], w["fc2.weight"].T, w["fc2.bias"])
        self.model.set_weights([conv1, w["conv1.bias"], conv2, w["conv2.bias"], *dense])
        self.model.compile(
            optimizer=keras.optimizers.Adam(LR, epsilon=1e-8),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=True,
        )
        self.images, self.labels = task.scaled()[..., None], task.labels

        class Clock(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
                self.started = time.perf_counter()

            def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
                self.seconds = time.perf_counter() - self.started

        self.clock = Clock()

    def train(self, order: np.ndarray) -> float:
        shown, labels = self.images[order], self.labels[order]
        self.model.fit(
            shown, labels, batch_size=1, shuffle=False, verbose=0, callbacks=[self.clock]
        )
        return self.clock.seconds

    def weights(self) -> Weights:
        conv1, b1, conv2, b2, fc1, b3, fc2, b4 = self.model.get_weights()
        return {
            "conv1.weight": conv1.transpose(3, 2, 0, 1),
            "conv1.bias": b1,
            "conv2.weight": conv2.transpose(3, 2, 0, 1),
            "conv2.bias": b2,
            "fc1.weight": fc1.reshape(7, 7, 16, 40).transpose(3, 2, 0, 1).reshape(40, 784),
            "fc1.bias": b3,
            "fc2.weight": fc2.T,
            "fc2.bias": b4,
        }
