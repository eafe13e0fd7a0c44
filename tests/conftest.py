"""What several tests share: a small finished run on real data, and a cache folder of the tests' own."""

import json
import os
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from modescope import analyses, study
from modescope.analyses.bench import Bench
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
    "analyses.subspaces.samples=3",
    "analyses.subspaces.resamples=100",
    "analyses.subspace_map.samples=2",
    "analyses.diversity_plane.samples=4",
    "analyses.diversity_plane.resamples=100",
    "analyses.radial_plane.points=5",
    "analyses.solution_plane.points=4",
    "analyses.connectors.steps=8",
    "analyses.connectors.points=5",
    'analyses.shift.corruptions=["gaussian_noise", "fog"]',
    "analyses.shift.intensities=[1, 5]",
    "analyses.shift.samples=2",
    "analyses.shift.resamples=50",
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
def well_trained(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Two members that have learned something, and the means to make networks around them."""
    settings = ("ensemble.members=2", "training.epochs=12", "data.train_examples=400", "data.test_examples=300")
    path = tmp_path_factory.mktemp("well_trained") / "run"
    training = study.plan(load("digits", [*TINY, *settings]), path, engine="sequential")
    study.carry_out(training, lambda member, record: None)
    return Bench(training.run, torch.device("cpu"))


@pytest.fixture(scope="session")
def cifar10() -> Path:
    """Real CIFAR-10 in the hub's parquet layout."""
    folder = Path(os.environ.get("MODESCOPE_CIFAR10", CIFAR10))
    if not folder.is_dir():
        pytest.skip(f"needs CIFAR-10's parquet files in {folder}; MODESCOPE_CIFAR10 names another folder")
    return folder


@pytest.fixture
def few_analyses(monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """As if these were all analyses: for tests of commands and places, which need not wait for every figure."""
    few = ("similarity_members", "confusion", "ensemble_size", "radial_plane")
    monkeypatch.setattr(analyses, "NAMES", few)
    return few


@pytest.fixture
def copied(finished: Run, tmp_path: Path) -> Run:
    """A copy of the finished run, to be damaged."""
    shutil.copytree(finished.path, tmp_path / "copied")
    return Run(tmp_path / "copied", finished.recipe)


class Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


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
