"""Times the comparison of many snapshots as the analyses do it, and how it grows.

    python benchmarks/analysis_scale.py -o benchmarks/results/analysis_scale_cpu.json

Disagreements of 400 states on 10,000 examples and 10 classes; cosines of 400 snapshots of 0.27 million parameters from
disk, checksums included; cosines of 400 snapshots of 25 million (40 GB on disk, `--large 0` leaves them out) with the
peak of the memory taken, in a process of its own; and tables of growth, where one size at a time is doubled. Medians
of `--repeats`; the large one once. Weights are random numbers: nothing here depends on their values.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from reporting import leave

from modescope.analyses.reading import Weights
from modescope.measures.disagreement import disagreement
from modescope.measures.weights import cosine_similarity
from modescope.recipe import load
from modescope.store.run import Run
from modescope.store.snapshots import Snapshot, write_snapshot

EPOCHS = 40  # snapshots a member


def write_weights(folder, states, parameters):
    """Snapshots of that many parameters, most of them in a few large tensors as in a convolutional network."""
    run = Run(folder, load("digits"))
    generator = np.random.default_rng(0)
    shapes = {f"layer{number}.weight": (parameters // 20, 1) for number in range(20)}
    names = tuple(shapes)
    places = [(state // EPOCHS, state % EPOCHS) for state in range(states)]
    for member, epoch in places:
        state = {name: torch.from_numpy(generator.random(shape, dtype=np.float32)) for name, shape in shapes.items()}
        write_snapshot(run, member, epoch, Snapshot(state, names))
    return run, places


def timed(work, repeats):
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def time_disagreement(states, examples, repeats, classes=10):
    predicted = np.random.default_rng(0).integers(0, classes, (states, examples))
    return timed(lambda: disagreement(predicted), repeats)


def time_cosine(states, parameters, repeats):
    with tempfile.TemporaryDirectory() as folder:
        run, places = write_weights(Path(folder), states, parameters)
        return timed(lambda: cosine_similarity(Weights(run, places).blocks()), repeats)


def large(folder, states):
    """In a process of its own: seconds, and the peak of its memory in GiB."""
    run, places = Run(Path(folder), load("digits")), [(state // EPOCHS, state % EPOCHS) for state in range(states)]
    started = time.perf_counter()
    weights = Weights(run, places)
    checked = time.perf_counter() - started
    cosine_similarity(weights.blocks())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 2**30
    print(json.dumps({"seconds": time.perf_counter() - started, "of_these_checksums": checked, "peak_gib": peak}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--large", type=int, default=25_000_000, help="parameters of the large snapshots")
    parser.add_argument("--only-large-in", help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    if given.only_large_in:
        large(given.only_large_in, 400)
        return
    result = {"benchmark": "analysis_scale", "repeats": given.repeats}
    result["disagreement_400x10000x10"] = time_disagreement(400, 10_000, given.repeats)
    result["disagreement_400x10000x1000"] = time_disagreement(400, 10_000, given.repeats, classes=1000)
    result["cosine_400x270000"] = time_cosine(400, 270_000, given.repeats)
    result["growth_seconds"] = {
        "disagreement by states": {n: time_disagreement(n, 10_000, given.repeats) for n in (400, 800, 1600)},
        "disagreement by examples": {n: time_disagreement(400, n, given.repeats) for n in (10_000, 20_000, 40_000)},
        "cosine by snapshots": {n: time_cosine(n, 1_000_000, given.repeats) for n in (100, 200, 400)},
        "cosine by parameters": {n: time_cosine(200, n, given.repeats) for n in (1_000_000, 2_000_000, 4_000_000)},
    }
    print(json.dumps(result, indent=2), flush=True)
    if given.large:
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            write_weights(Path(folder), 400, given.large)
            print(f"written in {time.perf_counter() - started:.0f} s", flush=True)
            again = [sys.executable, __file__, "--only-large-in", folder]
            told = json.loads(subprocess.run(again, capture_output=True, check=True).stdout)
            result["cosine_large"] = {"parameters": given.large, "snapshots": 400, **told}
    leave(result, given.output)


if __name__ == "__main__":
    main()
