"""What several tests share: a small finished run on real data, and a cache folder of the tests' own."""

import json
import os
import shutil
from pathlib import Path

import pytest

from modescope import study
from modescope.recipe import Recipe, load
from modescope.store.run import Run

CIFAR10 = Path(__file__).resolve().parents[2] / "shared" / "data" / "cifar10"

TINY = (
    "ensemble.members=3",
    "training.epochs=3",
    "data.train_examples=128",
    "data.test_examples=150",
    "training.batch_size=32",
    "analyses.ensemble_size.resamples=200",
    "analyses.hardness.resamples=200",
)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Decoded images go to a folder of the tests' own, unless the caller named one."""
    os.environ.setdefault("MODESCOPE_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def tiny_recipe() -> Recipe:
    """Three members, three epochs, 128 digits: a second of training."""
    return load("digits", TINY)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished, analysed and reported tiny run. Tests that change files must copy it first."""
    path = tmp_path_factory.mktemp("finished") / "run"
    training = study.plan(load("digits", TINY), path, engine="sequential")
    study.carry_out(training, lambda member, record: None)
    study.report(training.run, study.analyze(training.run))
    return training.run


@pytest.fixture(scope="session")
def cifar10() -> Path:
    """Real CIFAR-10 in the hub's parquet layout."""
    folder = Path(os.environ.get("MODESCOPE_CIFAR10", CIFAR10))
    if not folder.is_dir():
        pytest.skip(f"needs CIFAR-10's parquet files in {folder}; MODESCOPE_CIFAR10 names another folder")
    return folder


@pytest.fixture
def copied(finished: Run, tmp_path: Path) -> Run:
    """A copy of the finished run, to be damaged."""
    shutil.copytree(finished.path, tmp_path / "copied")
    return Run(tmp_path / "copied", finished.recipe)


def trained(path, *settings, recipe="digits", engine="sequential", **asked):
    training = study.plan(load(recipe, [*TINY, *settings]), path, engine=engine, **asked)
    records = []
    study.carry_out(training, lambda member, record: records.append((member, record)))
    return training.run, records


def files(run):
    """Every file that training decides, as bytes; histories without their seconds."""
    found = {}
    for path in sorted(run.path.rglob("*")):
        name = str(path.relative_to(run.path))
        if path.name == "history.jsonl":
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            found[name] = [{key: value for key, value in line.items() if key != "seconds"} for line in lines]
        elif path.is_file() and name.startswith(("members", "predictions")):
            found[name] = path.read_bytes()
    return found
