"""Times a member-epoch of the engine against a bare PyTorch loop, side by side on the same data.

    python benchmarks/member_epoch.py --data parquet:PATH/cifar10 --epochs 5 --threads 2 -o benchmarks/results/NAME.json

The bare loop is what a person writes who wants one network fast: the data in memory as float32 in channels-last
layout, fused Adam, SmallCNN from plain modules, and after each epoch the test loss and accuracy. It keeps nothing. A
second bare loop has the engine's network, which pools before ReLU: it tells what of the difference is the network's.
The engine's member-epoch is everything from one epoch that is on disk to the next: training, evaluation, snapshot,
predictions, history, and the file to resume from. One epoch of each in turn, so that all meet the same machine; the
ratio of medians is the result (below 1: the engine is faster).

Last, with one thread, two members are trained by the processes engine: the seconds from the first epoch on disk to the
last, over the member-epochs between them.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from reporting import leave
from torch import nn

from modescope import study
from modescope.data import load_data
from modescope.recipe import load


def bare_network(channels, classes, *, pool_first):
    """The report's SmallCNN as its Keras code reads: convolution, ReLU, pool (or pool, ReLU); 15,722 parameters."""
    blocks = []
    for features in (16, 32, 32):
        after = [nn.MaxPool2d(2), nn.ReLU()] if pool_first else [nn.ReLU(), nn.MaxPool2d(2)]
        blocks += [nn.Conv2d(channels, features, 3, padding=1), *after]
        channels = features
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 32), nn.ReLU(), nn.Dropout(0.1)]
    return nn.Sequential(*blocks, *head, nn.Linear(32, classes))


class BareLoop:
    """One network, trained an epoch at a time."""

    def __init__(self, data, batch_size, *, pool_first):
        def tensors(split):
            images = torch.tensor(split.inputs[:]).permute(0, 3, 1, 2).float().div_(255)
            return images.contiguous(memory_format=torch.channels_last), torch.tensor(split.labels[:])

        self.train, self.test = tensors(data.train), tensors(data.test)
        network = bare_network(data.input_shape[-1], len(data.class_names), pool_first=pool_first)
        self.network = network.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1.6e-3, fused=True)
        self.batch_size = batch_size

    def epoch(self):
        """Train one epoch and evaluate; the seconds it took."""
        started = time.perf_counter()
        images, labels = self.train
        self.network.train()
        for batch in torch.randperm(len(images)).split(self.batch_size):
            loss = F.cross_entropy(self.network(images[batch]), labels[batch])
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
        self.network.eval()
        with torch.inference_mode():
            logits = torch.cat([self.network(part) for part in self.test[0].split(500)])
            self.loss = F.cross_entropy(logits, self.test[1]).item()
            self.accuracy = (logits.argmax(1) == self.test[1]).float().mean().item()
        return time.perf_counter() - started


def side_by_side(recipe, path):
    """Seconds a member-epoch of two members in two processes."""
    ensemble = recipe.ensemble.model_copy(update={"members": 2})
    training = study.plan(recipe.model_copy(update={"ensemble": ensemble}), path, engine="processes", workers=2)
    when = []
    study.carry_out(training, lambda member, record: when.append((time.perf_counter(), record.epoch)))
    begun = max(moment for moment, epoch in when if epoch == 1)  # workers have started and warmed up
    after = [moment for moment, epoch in when if moment > begun]
    return (max(after) - begun) / len(after)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="parquet:../shared/data/cifar10", help="CIFAR-10, as in data.source")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    settings = (
        f"data.source={given.data}", "ensemble.members=1", f"training.epochs={given.epochs + 1}",
        f"training.threads_per_member={given.threads}",
    )  # fmt: skip
    recipe = load("report-smallcnn", settings)
    data, batch_size = load_data(recipe.data), recipe.training.batch_size
    bare = {
        "bare": BareLoop(data, batch_size, pool_first=False),
        "bare_pool_first": BareLoop(data, batch_size, pool_first=True),
    }
    torch.set_num_threads(given.threads)
    seconds = {"bare": [], "bare_pool_first": [], "engine": []}
    with tempfile.TemporaryDirectory() as folder:
        training = study.plan(recipe, Path(folder) / "run", engine="sequential")
        begun = 0.0

        def on_epoch(member, record):
            nonlocal begun
            if record.epoch > 1:  # the first epoch of each warms up
                seconds["engine"].append(time.perf_counter() - begun)
            for name, loop in bare.items():
                took = loop.epoch()
                if record.epoch > 0:
                    seconds[name].append(took)
            print(f"epoch {record.epoch}:", {name: values[-1:] for name, values in seconds.items()}, flush=True)
            begun = time.perf_counter()

        study.carry_out(training, on_epoch)
        if given.threads == 1:
            seconds["processes"] = [side_by_side(recipe, Path(folder) / "processes")]
    median = {name: statistics.median(values) for name, values in seconds.items()}
    result = {
        "benchmark": "member_epoch", "data": given.data.partition(":")[0] + ": CIFAR-10", "network": "report-smallcnn",
        "threads": given.threads, "epochs": given.epochs, "seconds": seconds, "median_seconds": median,
        "over_bare": {name: value / median["bare"] for name, value in median.items()},
        "load": os.getloadavg()[0],
    }  # fmt: skip
    leave(result, given.output)


if __name__ == "__main__":
    main()
