"""Trackers: what each of them holds afterwards, read back with its own library; and what happens when one fails."""

import importlib.util
import math
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from conftest import TINY, trained
from held import HELD
from modescope import cli, study
from modescope.errors import RequestError, WorkError
from modescope.measures.confusion import confusion_counts
from modescope.store.history import read_history
from modescope.store.predictions import read_class_names, read_epoch, read_labels
from modescope.store.run import open_run
from modescope.tracking import SINKS, check_trackers
from modescope.tracking.feed import Trackers
from modescope.tracking.ledger import open_ledger
from modescope.tracking.replay import send
from modescope.tracking.sink import numbers

pytestmark = [
    # MLflow asks SQLAlchemy for a way of loading that newer ones deprecate
    pytest.mark.filterwarnings("ignore:.*noload.*:sqlalchemy.exc.SADeprecationWarning"),
    # how the trackers' own threads and connections end is their affair
    pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning"),
]
HERE = [name for name in HELD if name != "trackio"]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # shown when we read a file back


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """A finished run with three analyses, their figures and the page."""
    run, _ = trained(tmp_path_factory.mktemp("reported") / "run")
    study.report(run, study.analyze(run, ["confusion", "ensemble_size", "similarity_members"]))
    return run


@pytest.fixture
def copied(reported, tmp_path):
    shutil.copytree(reported.path, tmp_path / "copied")
    return open_run(tmp_path / "copied")


@pytest.fixture
def modescope(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["modescope", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, *capsys.readouterr()

    return call


def training(*trackers):
    settings = [part for setting in TINY for part in ("--set", setting)]
    return ["train", "digits", "-o", "run", *settings, "--engine", "sequential", *trackers]


def histories(run):
    """(member, metric, epoch) -> value, as history.jsonl has them."""
    return {
        (member, name, epoch): value
        for member in run.members
        for epoch, record in read_history(run, member).items()
        for name, value in numbers(record).items()
    }


def counted(run, member):
    said = read_epoch(run, member, run.epochs[-1]).argmax(-1)
    return confusion_counts(said[None], read_labels(run), len(read_class_names(run)))[0]


def check_held(run, tracker):
    """One run a member in one group, the values of history.jsonl, the recipe and the confusion."""
    held = HELD[tracker](run)
    assert sorted(held.members()) == list(run.members)
    assert len(held.groups()) == 1
    values = held.metrics()
    assert len(values) == len(dict(values))  # none twice
    expected = histories(run)
    assert dict(values).keys() == expected.keys()
    assert all(math.isclose(value, expected[key], rel_tol=1e-6) for key, value in values)
    for member in run.members:
        assert held.config(member) == 3
        classes = read_class_names(run)
        rows = held.confusion(member, classes)
        if rows is not None:
            found = {(true, said): count for true, said, count in rows}
            matrix = np.array([[found[true, said] for said in classes] for true in classes])
            np.testing.assert_array_equal(matrix, counted(run, member))


def check_synced(run, tracker):
    """A whole run that is sent, and sent again."""
    check_trackers([tracker], run.path)
    send(run, tracker)
    check_held(run, tracker)
    held = HELD[tracker](run)
    assert {"figures/ensemble_size.png", "figures/confusion.png", "report.html"} <= held.artefact_names()
    from modescope.store.results import read_result

    expected = float(read_result(run, "similarity_members")["mean_disagreement"])
    assert held.ensemble_number("similarity_members/mean_disagreement") == pytest.approx(expected, rel=1e-6)
    before = held.count()
    send(run, tracker)
    assert HELD[tracker](run).count() == before
    if tracker in ("mlflow", "trackio"):  # they know what they have also where our ledger is lost
        (run.tracking / f"{tracker}.json").unlink()
        send(run, tracker)
        assert HELD[tracker](run).count() == before


@pytest.mark.parametrize("tracker", HERE)
def test_a_finished_run_is_sent_once(copied, tracker):
    check_synced(copied, tracker)


def test_trackio_holds_a_finished_run_once(copied):
    if importlib.util.find_spec("trackio") is None:  # importing it would decide where its store is
        pytest.skip("trackio needs an older pillow than constraints.txt has")
    check_synced(copied, "trackio")


def test_training_tells_several_trackers_and_sync_adds_only_the_rest(modescope, tmp_path):
    asked = [part for name in HERE for part in ("--track", name)]
    code, said, complained = modescope(*training(*asked))
    assert (code, complained) == (0, "")
    run = open_run(tmp_path / "run")
    for name in HERE:
        check_held(run, name)
    before = {name: HELD[name](run).count() for name in HERE}
    code, said, complained = modescope("sync", "run", *asked)
    assert (code, complained, said) == (0, "", "wandb and tensorboard and mlflow have all of run.\n")
    assert {name: HELD[name](run).count() for name in HERE} == before  # there is no analysis to add yet


def test_what_was_sent_elsewhere_is_sent_again(copied, monkeypatch, tmp_path):
    first = open_ledger(copied, "mlflow", "run")
    first.epochs[0] = {0, 1}
    first.save()
    assert open_ledger(copied, "mlflow", "run").epochs == {0: {0, 1}}
    other = open_ledger(copied, "mlflow", "https://user:secret@example.org")
    assert (other.epochs, other.id) == ({}, first.id)
    other.save()
    assert "secret" not in (copied.tracking / "mlflow.json").read_text()


# a tracker that fails -------------------------------------------------------------------------------------------------


class Failing(SINKS["tensorboard"]):
    """TensorBoard that gives up in the middle of a member."""

    def log_epoch(self, member, record, at):
        if (member, record.epoch) == (1, 1):
            raise ConnectionError("the line is dead.")
        super().log_epoch(member, record, at)


class Hanging(SINKS["tensorboard"]):
    """One that never comes back."""

    def open_member(self, member):
        time.sleep(60)


def test_a_tracker_that_fails_stops_no_training_and_is_told_of_once(modescope, tmp_path, monkeypatch):
    whole = SINKS["tensorboard"]
    monkeypatch.setitem(SINKS, "tensorboard", Failing)
    code, said, complained = modescope(*training("--track", "tensorboard", "--track", "mlflow"))
    assert code == 0
    assert complained == (
        "tensorboard failed (ConnectionError: the line is dead) and gets nothing more now; `modescope sync run --track "
        "tensorboard` sends it later.\n"
    )
    run = open_run(tmp_path / "run")
    assert len(histories(run)) == 3 * (4 * 6 - 1)
    check_held(run, "mlflow")
    code, said, complained = modescope("sync", "run", "--track", "tensorboard")
    assert code == 1
    assert complained.endswith("\nNot everything was sent to tensorboard; the same command goes on.\n")
    monkeypatch.setitem(SINKS, "tensorboard", whole)
    assert modescope("sync", "run", "--track", "tensorboard")[0] == 0
    check_held(run, "tensorboard")


def test_a_tracker_that_hangs_is_not_waited_for(copied, monkeypatch):
    monkeypatch.setitem(SINKS, "tensorboard", Hanging)
    monkeypatch.setattr("modescope.tracking.feed._ENDING_SECONDS", 0.2)
    told = []
    trackers = Trackers(["tensorboard"], told.append)
    began = time.monotonic()
    with trackers.following(copied) as on_epoch:
        on_epoch(0, read_history(copied, 0)[0])
    assert time.monotonic() - began < 5
    assert len(told) == 1
    assert told[0].startswith("tensorboard has not taken everything in time")
    with pytest.raises(WorkError, match="Not everything was sent to tensorboard"):
        trackers.raise_failed()


def test_a_missing_library_is_said_before_anything_is_done(tmp_path):
    code = """
import sys
from modescope.cli import main
for tracker in ("wandb", "tensorboard", "mlflow", "trackio"):
    sys.modules[tracker] = None
    sys.argv[1:] = ["train", "digits", "-o", "run", "--track", tracker]
    try:
        main()
    except SystemExit as ended:
        assert ended.code == 2
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    told = ended.stderr.splitlines()
    assert len(told) == len(HELD), ended.stderr
    for tracker, sentence in zip(HELD, told, strict=True):
        assert sentence.startswith(f"--track {tracker} needs a library that cannot be imported here (ModuleNotFound")
        assert sentence.endswith("; `pip install 'modescope[track]'` installs it.")
    assert not (tmp_path / "run").exists()


def test_a_request_that_cannot_be_met_is_refused(tmp_path):
    from upath import UPath

    with pytest.raises(RequestError, match="There is no tracker 'visdom'. There are wandb, tensorboard, mlflow, "):
        check_trackers(["wandb", "visdom"], tmp_path)
    with pytest.raises(RequestError, match="needs a run on this machine, and memory://bucket/run is at"):
        check_trackers(["wandb"], UPath("memory://bucket/run"))


def test_no_tracker_is_imported_until_it_is_asked_for():
    code = """
import sys, pkgutil, modescope.tracking
for module in pkgutil.iter_modules(modescope.tracking.__path__):
    __import__("modescope.tracking." + module.name)
import modescope.cli, modescope.study
assert not {"wandb", "tensorboard", "mlflow", "trackio"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
