"""Times a member-epoch of report SmallCNN on CIFAR-10 against what others use, side by side, each in its environment.

    python benchmarks/peers.py --data parquet:PATH/cifar10 --rounds 3 -o benchmarks/results/peers_cpu.json

Makes an environment of its own for each peer under `--environments` and leaves it there. Then, in each round, one after
the other: one epoch of the report's pipeline in Keras, of torch-uncertainty's routine with one network, of its ensemble
of four, of a bare PyTorch loop (see member_epoch.py), and a few epochs of two members of the processes engine with all
that it keeps. Whoever is not at work waits. All have all cores.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import venv
from pathlib import Path

import numpy as np
import torch
from member_epoch import BareLoop, side_by_side
from reporting import leave

from modescope.data import load_data
from modescope.recipe import load

LOOPS = Path(__file__).parent / "peer_loops"
PACKAGES = {
    "keras": ["tensorflow-cpu", "scikit-learn"],
    # torchvision's release that belongs to this torch; without scikit-learn torch-uncertainty does not import
    "torch_uncertainty": ["torch==2.13.0", "torchvision<0.29", "torch-uncertainty[cpu]", "scikit-learn<1.7"],
}
TORCH_UNCERTAINTY_MEMBERS = 4
ENGINE_EPOCHS = 3


class Peer:
    """A script in another environment that trains an epoch when it is asked to."""

    def __init__(self, python, script, *arguments):
        command = [str(python), str(LOOPS / script), *map(str, arguments)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.about = self._answer()

    def epoch(self):
        """What it says of its next epoch."""
        self.process.stdin.write("epoch\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise SystemExit(f"{self.process.args[1]} ended with {self.process.wait()}.")

    def end(self):
        self.process.kill()
        self.process.wait()


def environment(folder, name):
    """The Python of a peer's environment, made if it is not there."""
    place = folder / name
    python = place / "bin" / "python"
    if not (place / "installed").is_file():
        print(f"installing {name}", flush=True)
        venv.create(place, with_pip=True, clear=True)
        for package in (PACKAGES[name][:1], PACKAGES[name]):  # torch first, so that nothing brings another build of it
            subprocess.run([python, "-m", "pip", "install", "-q", *package], check=True)
        (place / "installed").touch()
    return python


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="parquet:../shared/data/cifar10", help="CIFAR-10, as in data.source")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--environments", type=Path, default=Path("benchmarks/environments"))
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    pythons = {name: environment(given.environments.absolute(), name) for name in PACKAGES}
    settings = (f"data.source={given.data}", f"training.epochs={ENGINE_EPOCHS + 1}")
    recipe = load("report-smallcnn", settings)
    data = load_data(recipe.data)
    seconds = {name: [] for name in ("keras", "torch_uncertainty_1", "torch_uncertainty_4", "bare", "processes")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arrays = {"x_train": data.train.inputs[:], "y_train": data.train.labels[:]}
        np.savez(folder / "data.npz", **arrays, x_test=data.test.inputs[:], y_test=data.test.labels[:])
        several = TORCH_UNCERTAINTY_MEMBERS
        uncertainty = pythons["torch_uncertainty"], "torch_uncertainty_ensemble.py", folder / "data.npz"
        peers = {
            "keras": Peer(pythons["keras"], "keras_pipeline.py", folder / "data.npz", folder),
            "torch_uncertainty_1": Peer(*uncertainty, folder / "one", 1),
            "torch_uncertainty_4": Peer(*uncertainty, folder / "four", several),
        }
        torch.set_num_threads(os.cpu_count())
        bare = BareLoop(data, recipe.training.batch_size, pool_first=False)
        accuracy = {}
        for number in range(given.rounds):
            for peer, loop in peers.items():
                told = loop.epoch()
                members = several if peer == "torch_uncertainty_4" else 1
                seconds[peer].append(told["seconds"] / members)
                accuracy[peer] = told["accuracy"]
            seconds["bare"].append(bare.epoch())
            accuracy["bare"] = bare.accuracy
            seconds["processes"].append(side_by_side(recipe, folder / f"run{number}"))
            print(f"round {number}:", {peer: round(values[-1], 2) for peer, values in seconds.items()}, flush=True)
        about = {peer: loop.about for peer, loop in peers.items()}
        for loop in peers.values():
            loop.end()
    median = {peer: statistics.median(values) for peer, values in seconds.items()}
    result = {
        "benchmark": "peers", "data": "CIFAR-10", "network": "report-smallcnn", "rounds": given.rounds,
        "seconds_a_member_epoch": seconds, "median_seconds": median,
        "processes_over": {peer: median["processes"] / value for peer, value in median.items()},
        "accuracy_at_the_end": accuracy, "peers": about,
    }  # fmt: skip
    leave(result, given.output)


if __name__ == "__main__":
    main()
