"""Times a member-epoch of the engine against a bare PyTorch loop, side by side on the same data.

    python benchmarks/member_epoch.py --data parquet:PATH/cifar10 --epochs 5 --threads 2 -o benchmarks/results/NAME.json

The bare loop is what a person writes who wants one network fast: the data in memory as float32 in channels-last
layout, fused Adam, SmallCNN from plain modules, and after each epoch the test loss and accuracy. It keeps nothing. The
engine's member-epoch is everything from one epoch that is on disk to the next: training, evaluation, snapshot,
predictions, history, and the file to resume from. One epoch of each in turn, so that both meet the same machine; the
ratio of medians is the result (below 1: the engine is faster).
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from modescope import study
from modescope.data import load_data
from modescope.recipe import load
from modescope.store.provenance import read_provenance


def bare_network(channels, classes):
    """The report's SmallCNN as its Keras code reads: convolution, ReLU, pool; 15,722 parameters."""
    blocks = []
    for features in (16, 32, 32):
        blocks += [nn.Conv2d(channels, features, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        channels = features
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 32), nn.ReLU(), nn.Dropout(0.1)]
    return nn.Sequential(*blocks, *head, nn.Linear(32, classes))


class BareLoop:
    """One network, trained an epoch at a time."""

    def __init__(self, data, batch_size):
        def tensors(split):
            images = torch.tensor(split.inputs[:]).permute(0, 3, 1, 2).float().div_(255)
            return images.contiguous(memory_format=torch.channels_last), torch.tensor(split.labels[:])

        self.train, self.test = tensors(data.train), tensors(data.test)
        network = bare_network(data.input_shape[-1], len(data.class_names))
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
    bare = BareLoop(load_data(recipe.data), recipe.training.batch_size)
    torch.set_num_threads(given.threads)
    seconds = {"bare": [], "engine": []}
    with tempfile.TemporaryDirectory() as folder:
        training = study.plan(recipe, Path(folder) / "run")
        begun = 0.0

        def on_epoch(member, record):
            nonlocal begun
            if record.epoch > 1:  # the first epoch of each warms up
                seconds["engine"].append(time.perf_counter() - begun)
            took = bare.epoch()
            if record.epoch > 0:
                seconds["bare"].append(took)
            print(f"epoch {record.epoch}: engine {seconds['engine'][-1:]} s, bare {took:.2f} s", flush=True)
            begun = time.perf_counter()

        study.carry_out(training, on_epoch)
        machine = read_provenance(training.run)["machine"]
    median = {name: statistics.median(values) for name, values in seconds.items()}
    result = {
        "benchmark": "member_epoch", "data": given.data.partition(":")[0] + ": CIFAR-10", "network": "report-smallcnn",
        "threads": given.threads, "epochs": given.epochs, "seconds": seconds, "median_seconds": median,
        "engine_over_bare": median["engine"] / median["bare"], "machine": machine, "load": os.getloadavg()[0],
        "torch": torch.__version__, "python": platform.python_version(),
    }  # fmt: skip
    print(json.dumps(result, indent=2))
    if given.output:
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
