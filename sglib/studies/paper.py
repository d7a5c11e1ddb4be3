"""What the paper prints: settings, numbers and claims, each with its section and figure.

Source: Liu Hailin, *Practical use of neural networks for binary image classification* (in
Russian), student report, Moscow State University, 2024. Nothing here was measured by us.
"""

import math

import pandas as pd

LOSS_FLOOR = math.log1p(math.exp(-1))
"""Smallest cross entropy of softmax over two sigmoid outputs: outputs (1, 0) give ln(1 + 1/e).

The saturated mistake, outputs (0, 1), costs exactly 1 more. The paper does not mention either.
"""


_MEASURES = ("train_loss", "val_loss", "train_acc", "val_acc")
PRINTED = pd.DataFrame(
    # the captions of figures 2 to 12; two figures carry number 7
    columns=["experiment", "section", "figure", "model", *_MEASURES],
    data=[
        ("baseline_1", "4.1", "2", "ConvNN_1", 0.313, 0.338, 1.000, 0.976),
        ("baseline_2", "4.1", "3", "ConvNN_2", 0.320, 0.342, 0.993, 0.973),
        ("flip_1", "4.2", "4", "ConvNN_1", 0.315, 0.344, 0.998, 0.968),
        ("flip_2", "4.2", "5", "ConvNN_2", 0.323, 0.366, 0.991, 0.941),
        ("l2_1", "4.3", "6", "ConvNN_1", 0.313, 0.329, 1.000, 0.987),
        ("l2_2", "4.3", "7a", "ConvNN_2", 0.313, 0.321, 1.000, 0.995),
        ("dropout25_1", "4.4", "7b", "ConvNN_1", 0.324, 0.341, 0.987, 0.971),
        ("dropout50_1", "4.4", "8", "ConvNN_1", 0.315, 0.333, 0.999, 0.984),
        ("dropout25_2", "4.4", "9", "ConvNN_2", 0.314, 0.334, 0.999, 0.971),
        ("dropout50_2", "4.4", "10", "ConvNN_2", 0.322, 0.329, 0.992, 0.984),
        ("final_1", "4.5", "11", "ConvNN_1", 0.322, 0.339, 0.993, 0.976),
        ("final_2", "4.5", "12", "ConvNN_2", 0.317, 0.330, 0.996, 0.984),
    ],
).set_index("experiment", drop=False)
"""By the name of the row in `tables.PAPER`; mean cross entropies in nats, accuracies in [0, 1]."""

CONCLUSIONS = (
    # §V, each a claim to be tested
    "The models overfit: training and validation part.",
    "L2, with λ tuned, relieves overfitting and gives the best results.",
    "Flip augmentation does not help on this data set.",
    "Dropout 50 % beats dropout 25 % for both networks.",
    "Dropout 50 % with L2 is the configuration to deploy.",
)
