"""A run while it is being trained: how far it is, who trains it, and its page of what is there so far."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict

import numpy as np
import pytest
from rich.console import Console

from conftest import TINY, trained
from modescope import live, study
from modescope.errors import RunError
from modescope.live import Standing, duration, pace, standings, trainer, view
from modescope.progress import LiveProgress, PlainProgress, Throughput
from modescope.recipe import load
from modescope.store.history import read_history
from modescope.store.lease import Holder
from modescope.store.results import read_result
from modescope.store.run import Run
from modescope.types import EpochRecord

SETTINGS = [part for setting in TINY for part in ("--set", setting)]


def at(*newest, seconds=2.0):
    return [Standing(epoch, None, seconds if epoch > 0 else math.nan) for epoch in newest]


def record(epoch):
    return EpochRecord(epoch, 1.0, 0.5, 1.0, 0.5, 0.01, 2.0)


@pytest.mark.parametrize(
    ("newest", "members", "epochs"),
    [
        ((3, 3, 3), 3, 3),
        ((3, 3, -1), 2, 3),
        ((3, 1, 1), 3, 1),
        ((3, 0, -1), 1, 3),
        ((1, 3, 3), 3, 1),
        ((0, -1, -1), 1, 0),
    ],
)
def test_the_largest_shorter_run_that_is_finished(finished, newest, members, epochs):
    part = view(finished, at(*newest))
    assert (list(part.members), list(part.epochs)) == (list(range(members)), list(range(epochs + 1)))


def test_before_the_first_epoch_there_is_none(finished):
    assert view(finished, at(-1, -1, -1)) is None


def test_a_shorter_run_is_the_run_that_was_trained_so_short(finished, tmp_path):
    short, _ = trained(tmp_path / "short", "ensemble.members=2", "training.epochs=2")
    part = view(finished, at(2, 2, -1))
    results, left_out = live._results(part)
    alone = study.analyze(short, [name for name in results if name != "learning_curves"]).datasets
    for name, dataset in alone.items():
        for variable in dataset.variables:
            np.testing.assert_array_equal(results[name][variable].to_numpy(), dataset[variable].to_numpy(), variable)
    assert "subspaces" in left_out


def test_pace_by_hand(finished):
    # two members at work, an epoch each in two seconds: one epoch a second; 4 of 9 done, 5 left
    found = pace(finished, at(2, 2, 0))
    assert (found.done, found.of, found.a_minute, found.seconds_left) == (4, 9, 60.0, 5.0)
    nobody = pace(finished, at(3, 0, -1))
    assert (nobody.done, nobody.a_minute, nobody.seconds_left) == (3, 0.0, math.inf)


def test_standings_are_the_histories(finished, copied):
    found = standings(finished)
    assert [standing.newest for standing in found] == [3, 3, 3]
    assert found[1].record == read_history(finished, 1)[3]
    lines = copied.history(1).read_text().splitlines()
    copied.history(1).write_text("\n".join([lines[0], lines[2], lines[3]]) + "\n")  # epoch 1 is lost
    assert [standing.newest for standing in standings(copied)] == [3, 0, 3]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(4.4, "4 s"), (90.0, "2 min"), (3600.0, "60 min"), (7260.0, "2 h 01 min"), (5400.0, "1 h 30 min")],
)
def test_lengths_of_time(seconds, told):
    assert duration(seconds) == told


def test_who_trains(copied):
    assert trainer(copied) is None
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for process, alive in ((os.getpid(), True), (ended.pid, False)):
        holder = Holder.here()
        content = {**asdict(holder), "process": process}
        copied.lock_holder.write_text(json.dumps(content))
        assert (trainer(copied) is not None) == alive
    copied.lock_holder.write_text(json.dumps({**asdict(Holder.here()), "host": "elsewhere"}))
    assert trainer(copied).host == "elsewhere"  # nobody can see from here whether it lives


def command(*arguments):
    return [sys.executable, "-m", "modescope", *arguments]


def said(*arguments):
    ended = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=120)
    return ended.returncode, ended.stdout, ended.stderr


def test_watch_and_info_beside_a_training_and_after_its_death(tmp_path):
    path = tmp_path / "run"
    more = ("--set", "training.epochs=400", "--engine", "sequential")
    training = subprocess.Popen(command("train", "digits", "-o", str(path), *SETTINGS, *more), stdout=subprocess.PIPE)
    watching = None
    try:
        history = path / "members" / "000" / "history.jsonl"
        deadline = time.monotonic() + 60
        while not (history.is_file() and len(history.read_text().splitlines()) > 3):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        watching = subprocess.Popen(
            command("watch", str(path), "--every", "0.5"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        code, told, _ = said("info", str(path))
        assert code == 0
        assert f"Being trained by process {training.pid} on " in told
        assert re.search(r"member 0 +epoch \d+/400 +test accuracy \d", told)
        assert re.search(r"[\d.e+]+ member-epochs a minute, about \d+ (s|min) left", told)
        while not (path / "report.html").is_file():
            assert time.monotonic() < deadline + 60
            assert training.poll() is None
            time.sleep(0.1)
        html = (path / "report.html").read_text()
        assert "This run is being trained: " in html
        assert 'id="follow"' in html
        assert not (path / "analyses").exists()
        assert not (path / "figures").exists()
        os.kill(training.pid, signal.SIGKILL)
        training.wait()
        _, complaint = watching.communicate(timeout=90)
        assert watching.returncode == 2
        assert "is not finished, and nobody trains it" in complaint
        code, told, _ = said("info", str(path))
        assert code == 0  # a kill damages nothing
        assert "Being trained" not in told
    finally:
        for process in (training, watching):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
            if process is not None:
                process.stdout.close()
                if process.stderr:
                    process.stderr.close()


def test_a_run_that_is_trained_ends_the_watch_with_its_page(tmp_path, few_analyses):
    run, _ = trained(tmp_path / "run")
    told = []
    live.watch(run, 0.1, told.append)
    html = run.report.read_text()
    assert "being trained" not in html
    assert "9 of 9 member-epochs" in told[0]
    assert "is trained" in told[-1]


def test_a_run_that_is_analysed_keeps_its_page(copied):
    before = copied.report.read_bytes()
    told = []
    live.watch(copied, 0.1, told.append)
    assert copied.report.read_bytes() == before
    assert told == [f"{copied.path} is finished and analysed; its page is {copied.report}"]


def test_a_run_that_nobody_trains_is_refused_after_its_page(tmp_path, few_analyses):
    run, _ = trained(tmp_path / "run")
    (run.history(2)).unlink()
    with pytest.raises(RunError, match="nobody trains it"):
        live.watch(run, 0.1, lambda told: None)
    assert "first 2 members up to epoch 3" in run.report.read_text()


def test_throughput_by_hand():
    found = Throughput(examples=128, began=100.0)
    assert found.told(100.0) == ""
    found.done = 30
    assert found.told(160.0) == "30 member-epochs/min, 64 examples/s"


def test_plain_lines_tell_of_all_members():
    console = Console(width=200, record=True, force_terminal=False, file=open(os.devnull, "w"))
    with PlainProgress(console, {0: 0, 1: 2}, 4, 128) as on_epoch:
        on_epoch(0, record(1))
        on_epoch(1, record(4))
    first, last = console.export_text().splitlines()
    console.file.close()
    assert "(all: 3/8, " in first
    assert "(all: 5/8, " in last
    assert last.endswith("examples/s)")


def test_of_many_members_those_at_work_have_a_line():
    console = Console(width=160, force_terminal=True, file=open(os.devnull, "w"))
    lines = LiveProgress(console, dict.fromkeys(range(50), 0), 4, 128)
    with lines as on_epoch:
        on_epoch(3, record(1))
        on_epoch(7, record(2))
        on_epoch(7, record(4))
        shown = [task.description for task in lines._progress.tasks if task.visible]
        assert shown == ["member   3", "all members"]
        assert "member-epochs/min" in lines._progress.tasks[-1].fields["told"]
    console.file.close()


def test_what_is_half_written_is_no_epoch(copied):
    """A chunk or a line under a temporary name does not count, and a view reads none beyond its own."""
    (copied.member(0) / ".partial-1234-history.jsonl").write_text('{"epoch": 4')
    assert standings(copied)[0].newest == 3
    part = view(copied, at(1, 1, 1))
    for chunk in (copied.predictions / "log_prob" / "c").glob("*/3/0/0"):
        chunk.unlink()
    results, _ = live._results(part)
    assert results["confusion"].sizes["epoch"] == 2
    assert isinstance(part, Run)
    assert part.part_of == load("digits", TINY)
    assert read_result(copied, "confusion").sizes["epoch"] == 4
