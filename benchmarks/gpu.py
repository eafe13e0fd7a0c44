"""Everything that only a GPU can show, in one command of less than ten minutes.

    python benchmarks/gpu.py -o $OUT

Leaves gpu.json, written anew after each step so that a stop loses little, and gpu.png. The steps:

- `agreement`: three members of SmallCNN and of ResNet20v1, stacked, against each trained alone, in float64
- `resume`: a stacked run that is stopped in the middle and goes on, against one that is not: the same bits?
- `lowerings`: milliseconds a step and member of each way of computing a stack of ten
- `engines`: member-epochs a second, stacked and one after another, for SmallCNN and ResNet20v1
- `analyses`: seconds of the analyses that ask networks of their own, as they are set by default on a GPU (planes of
  51 x 51 points with all test images), and how far drawn networks' predictions are from a CPU's
- `studies`: report-smallcnn, paper-mediumcnn and report-resnet20 (both in TF32), ten members x 40 epochs with every
  snapshot and prediction, from a running Python to the last file on disk

`--data` takes CIFAR-10 as in data.source; without it, images of the same size and number are made up: speed does not
depend on what they show. `--quick --device cpu` goes through all of it with toy sizes, to test the script.
"""

import argparse
import json
import sys
import tempfile
import time
import traceback
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from modescope import study
from modescope.analyses.bench import Bench
from modescope.data import load_data
from modescope.engines.layout import measured
from modescope.recipe import load
from modescope.store.snapshots import read_snapshot
from modescope.training.precision import computing, data_for_training

TF32 = "training.precision=tf32"
IMAGES = {False: (50_000, 10_000), True: (600, 200)}


def made_up(quick=False):
    """Images of CIFAR-10's size whose classes can be learned: noise on a pattern of each class."""
    generator = np.random.default_rng(0)
    patterns = generator.integers(0, 256, (10, 32, 32, 3))
    splits = []
    for count in IMAGES[quick]:
        labels = generator.integers(0, 10, count)
        noise = generator.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        splits += [(0.3 * patterns[labels] + 0.7 * noise).astype(np.uint8), labels]
    return tuple(splits)


def made_up_quick():
    return made_up(quick=True)


class Steps:
    """The steps, and what they found."""

    def __init__(self, given, folder):
        self.given, self.folder = given, folder
        self.found = {"benchmark": "gpu", "quick": given.quick, "data": given.data.partition(":")[0]}
        self.started = time.perf_counter()
        self.networks = ("report-smallcnn",) if given.quick else ("report-smallcnn", "report-resnet20")

    def recipe(self, name, *settings):
        return load(name, [f"data.source={self.given.data}", *settings])

    def train(self, recipe, name, engine, stop=None):
        """Train; the run and the seconds from the plan to the last file."""

        def on_epoch(member, record):
            if (member, record.epoch) == stop:
                raise KeyboardInterrupt

        started = time.perf_counter()
        training = study.plan(recipe, self.folder / name, engine=engine, device=self.given.device)
        try:
            study.carry_out(training, on_epoch)
        except KeyboardInterrupt:
            pass
        return training.run, time.perf_counter() - started

    def agreement(self):
        apart = {}
        examples = 256 if self.given.quick else 2000
        for name in self.networks:
            settings = (
                "training.precision=float64",
                "ensemble.members=3",
                "training.epochs=2",
                "data.test_examples=200",
            )
            optimizer = ("training.optimizer=sgd",)  # Adam makes rounding noise of biases before batch norm large
            recipe = self.recipe(name, f"data.train_examples={examples}", *settings, *optimizer)
            runs = [self.train(recipe, f"{name}-{engine}", engine)[0] for engine in ("stacked", "sequential")]
            states = [[read_snapshot(run, member, 2).state for member in range(3)] for run in runs]
            apart[name] = max(
                float((one[key] - other[key]).abs().max()) for one, other in zip(*states, strict=True) for key in one
            )
        return {"largest_difference_of_weights": apart}

    def resume(self):
        settings = ("ensemble.members=4", "training.epochs=4", "data.test_examples=200", "data.train_examples=600")
        same = {}
        for name in self.networks:
            recipe = self.recipe(name, *settings)
            whole, _ = self.train(recipe, f"{name}-whole", "stacked")
            self.train(recipe, f"{name}-parts", "stacked", stop=(2, 2))
            parts, _ = self.train(recipe, f"{name}-parts", "stacked")
            same[name] = all(
                whole.snapshot(member, epoch).read_bytes() == parts.snapshot(member, epoch).read_bytes()
                for member in whole.members
                for epoch in whole.epochs
            )
        return {"bitwise_the_same": same}

    def lowerings(self):
        times = {}
        for name in ("paper-mediumcnn", *self.networks) if not self.given.quick else self.networks:
            recipe = self.recipe(name, "data.train_examples=512", "data.test_examples=100")
            data = data_for_training(recipe, load_data(recipe.data), torch.device(self.given.device))
            with computing(recipe.training, torch.device(self.given.device)):
                milliseconds, failed = measured(recipe, data, range(2 if self.given.quick else 10))
            times[name] = {**milliseconds, **failed}
        return {"ms_a_step_and_member": times}

    def engines(self):
        rates = {}
        for name in self.networks:
            rates[name] = {}
            for engine, members, epochs in (("stacked", 10, 3), ("sequential", 1, 3)):
                recipe = self.recipe(name, f"ensemble.members={members}", f"training.epochs={epochs}")
                when = []
                training = study.plan(
                    recipe, self.folder / f"{name}-{engine}-rate", engine=engine, device=self.given.device
                )
                study.carry_out(training, lambda member, record, when=when: when.append((time.perf_counter(), record)))
                begun = max(moment for moment, record in when if record.epoch == 1)  # captured and warmed up
                after = [moment for moment, _ in when if moment > begun]
                rates[name][engine] = len(after) / (max(after) - begun)
            rates[name]["stacked_over_sequential"] = rates[name]["stacked"] / rates[name]["sequential"]
        return {"member_epochs_a_second": rates}

    def analyses(self):
        small = ("analyses.radial_plane.points=4", "analyses.connectors.steps=4") if self.given.quick else ()
        recipe = self.recipe("report-smallcnn", "ensemble.members=3", "training.epochs=3", *small)
        run, _ = self.train(recipe, "analysed", "stacked")
        seconds = {}
        names = ("radial_plane", "connectors", "subspaces", "diversity_plane")
        study.analyze(run, names, lambda name, took: seconds.update({name: took}), device=self.given.device)
        here, there = (Bench(run, torch.device(device)) for device in ("cpu", self.given.device))
        drawn, _ = here.draw(0, "swag", 4)
        apart = here.evaluate(0, drawn, here.test_part(500, most=None)) - there.evaluate(
            0, drawn, there.test_part(500, most=None)
        )
        return {"seconds": seconds, "largest_difference_of_log_prob": float(np.abs(apart).max())}

    def studies(self):
        seconds = {}
        studies = {"report-smallcnn": (), "paper-mediumcnn": (TF32,), "report-resnet20": (TF32,)}
        for name, settings in studies.items():
            if self.given.quick and name not in self.networks:
                continue
            sizes = ("ensemble.members=2", "training.epochs=2") if self.given.quick else (
                "ensemble.members=10", "training.epochs=40",
            )  # fmt: skip
            run, took = self.train(self.recipe(name, *settings, *sizes), f"{name}-study", "stacked")
            accuracy = [
                json.loads(run.history(member).read_text().splitlines()[-1])["test_accuracy"] for member in run.members
            ]
            seconds[name] = {"seconds": took, "settings": settings, "mean_test_accuracy": float(np.mean(accuracy))}
            self.found["studies"] = seconds
            self.write()
        return seconds

    def write(self):
        self.found["seconds_so_far"] = time.perf_counter() - self.started
        (self.given.output / "gpu.json").write_text(json.dumps(self.found, indent=2) + "\n")

    def draw(self):
        """Bars of what `engines` and `studies` found."""
        figure, axes = plt.subplots(1, 2, figsize=(9, 2.5), layout="constrained")
        rates = self.found.get("engines", {}).get("member_epochs_a_second", {})
        studies = self.found.get("studies", {})
        bars = {f"{name}, {engine}": rates[name][engine] for name in rates for engine in ("sequential", "stacked")}
        taken = {name: told["seconds"] for name, told in studies.items() if "seconds" in told}
        what = "2 x 2 toy epochs" if self.given.quick else "10 members x 40 epochs"
        for axis, values, label in ((axes[0], bars, "member-epochs a second"), (axes[1], taken, f"seconds for {what}")):
            drawn = axis.barh(list(values), list(values.values()), height=0.6)
            axis.bar_label(drawn, fmt="%.3g", padding=3)
            axis.margins(x=0.15)
            axis.invert_yaxis()
            axis.set_xlabel(label)
            axis.spines[["top", "right"]].set_visible(False)
        figure.savefig(self.given.output / "gpu.png", dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="CIFAR-10 as in data.source; made up if left out")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="toy sizes")
    parser.add_argument("--steps", nargs="+", help="only these", metavar="STEP")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    given.data = given.data or ("gpu:made_up_quick" if given.quick else "gpu:made_up")
    given.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        steps = Steps(given, Path(folder))
        where = torch.cuda.get_device_name() if given.device == "cuda" else given.device
        steps.found |= {"device": where, "torch": torch.__version__, "cuda": torch.version.cuda}
        for step in (steps.agreement, steps.resume, steps.lowerings, steps.engines, steps.analyses, steps.studies):
            if given.steps and step.__name__ not in given.steps:
                continue
            began = time.perf_counter()
            try:
                steps.found[step.__name__] = step()
            except Exception as error:  # the steps after it are worth their time all the same
                steps.found[step.__name__] = {"failed": f"{type(error).__name__}: {error}"}
                traceback.print_exc()
            print(f"{step.__name__} ({time.perf_counter() - began:.0f} s): {steps.found[step.__name__]}", flush=True)
            steps.write()
        steps.draw()


if __name__ == "__main__":
    main()
