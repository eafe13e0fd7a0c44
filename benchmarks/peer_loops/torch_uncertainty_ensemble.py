"""torch-uncertainty: its ensemble wrapper, routine and trainer, with validation and a checkpoint after each epoch.

    python torch_uncertainty_ensemble.py DATA.npz FOLDER MEMBERS

Trains one epoch for each line on the standard input, and answers with its seconds as JSON. The data are float tensors
in memory, which is faster than its own data module.
"""

import json
import logging
import sys
import time
import warnings

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

# torchvision's compiled operators need CUDA's libraries; they are not used here, but torchvision asks for their names
_names = torch.library.Library("torchvision", "DEF")
for _name in ("nms", "qnms"):
    _names.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import torch_uncertainty  # noqa: E402
from lightning.pytorch.callbacks import Callback, ModelCheckpoint  # noqa: E402
from torch_uncertainty import TUTrainer  # noqa: E402
from torch_uncertainty.methods.deep_ensembles import deep_ensembles  # noqa: E402
from torch_uncertainty.routines import ClassificationRoutine  # noqa: E402
from torch_uncertainty.transforms import RepeatTarget  # noqa: E402

BATCH, MOST_EPOCHS = 128, 1000


def small_cnn():
    """The report's SmallCNN as its code reads; 15,722 parameters."""
    blocks, channels = [], 3
    for features in (16, 32, 32):
        blocks += [nn.Conv2d(channels, features, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        channels = features
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 10)]
    return nn.Sequential(*blocks, *head)


class WhenAsked(Callback):
    """Begins an epoch when a line comes, and tells how long it took."""

    started = None

    def on_train_epoch_start(self, trainer, routine):
        self._tell(trainer)
        if not sys.stdin.readline():
            sys.exit(0)
        self.started = time.perf_counter()

    def _tell(self, trainer):
        if self.started is not None:
            accuracy = float(trainer.callback_metrics.get("val/cls/Acc", float("nan")))
            print(json.dumps({"seconds": time.perf_counter() - self.started, "accuracy": accuracy}), flush=True)


def main():
    source, folder, members = sys.argv[1], sys.argv[2], int(sys.argv[3])
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    data = np.load(source)

    def loader(inputs, labels, shuffle):
        images = torch.tensor(inputs).permute(0, 3, 1, 2).float().div(255)
        return DataLoader(TensorDataset(images, torch.tensor(labels)), batch_size=BATCH, shuffle=shuffle)

    network = deep_ensembles([small_cnn() for _ in range(members)]) if members > 1 else small_cnn()
    routine = ClassificationRoutine(
        model=network,
        num_classes=10,
        loss=nn.CrossEntropyLoss(),
        is_ensemble=members > 1,
        format_batch_fn=RepeatTarget(num_repeats=members) if members > 1 else None,
        optim_recipe=torch.optim.Adam(network.parameters(), lr=1.6e-3),
    )
    trainer = TUTrainer(
        accelerator="cpu",
        max_epochs=MOST_EPOCHS,
        callbacks=[WhenAsked(), ModelCheckpoint(folder, save_top_k=-1, every_n_epochs=1)],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    count = sum(parameter.numel() for parameter in network.parameters())
    print(json.dumps({"parameters": count, "version": torch_uncertainty.__version__}), flush=True)
    trainer.fit(routine, loader(data["x_train"], data["y_train"], True), loader(data["x_test"], data["y_test"], False))


if __name__ == "__main__":
    main()
