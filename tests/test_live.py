"""A run while it is being trained: how far it is, who trains it, and its page of what is there so far."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace

import numpy as np
import pytest
from rich.console import Console

from conftest import TINY, trained
from modescope import live, study
from modescope.errors import RunError
from modescope.files import place
from modescope.live import Standing, duration, pace, standings, view
from modescope.progress import LiveProgress, PlainProgress, Throughput
from modescope.recipe import load
from modescope.store import lease
from modescope.store.history import read_history
from modescope.store.lease import Holder
from modescope.store.lock import holder_of, locked
from modescope.store.results import read_result
from modescope.store.run import Run
from modescope.types import EpochRecord

SETTINGS = [part for setting in TINY for part in ("--set", setting)]


NOW = 1000.0  # on a clock of the tests' own


def at(*newest, seconds=2.0, written=NOW):
    return [Standing(epoch, None, seconds if epoch > 0 else math.nan, written) for epoch in newest]


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
    found = pace(finished, at(2, 2, 0), NOW + 1)
    assert (found.done, found.of, found.a_minute, found.seconds_left) == (4, 9, 60.0, 5.0)
    assert found.examples_a_second == 128
    # 1 of 3 epochs of the last member left, 6 s; nobody beside it by then
    alone = pace(finished, [*at(3, 3), *at(1, seconds=6.0)], NOW)
    assert (alone.a_minute, alone.seconds_left) == (10.0, 12.0)
    # the slow one ends after the time that all would take together: 2 epochs of 10 s, against 3 at 0.6 a second
    uneven = pace(finished, [*at(3), *at(2), *at(1, seconds=10.0)], NOW)
    assert (uneven.a_minute, uneven.seconds_left) == (36.0, 20.0)
    between = pace(finished, at(3, 0, -1), NOW + 10)  # the second will take what the first took
    assert (between.done, between.a_minute, between.seconds_left) == (3, 30.0, 12.0)


def test_members_that_have_been_silent_are_not_at_work(finished):
    waiting = at(2, written=NOW - 500)  # an earlier command was stopped in the middle of it
    found = pace(finished, [*at(3), *at(2), *waiting], NOW + 1)
    assert (found.a_minute, found.seconds_left) == (30.0, 4.0)
    assert pace(finished, at(2, 0, 0, written=0.0), NOW).a_minute == 30.0  # where files have no time, all are believed
    nobody = pace(finished, at(2, 0, -1), NOW + 60)
    assert (nobody.done, nobody.a_minute, nobody.seconds_left) == (2, 0.0, math.inf)


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
    assert holder_of(copied) is None
    elsewhere = json.dumps({**asdict(Holder.here()), "host": "elsewhere"})
    with locked(copied):
        assert holder_of(copied).process == os.getpid()
        left = copied.lock_holder.read_text()
        copied.lock_holder.write_text(elsewhere)
        assert holder_of(copied).host == "elsewhere"
        copied.lock_holder.write_text(left)
    for content in (left, elsewhere):  # what a killed command left, whose number another process has now
        copied.lock_holder.write_text(content)
        assert holder_of(copied) is None
    ended = subprocess.Popen([sys.executable, "-c", ""])
    while os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT) is None:
        pass
    for process in ("zombie", "gone"):
        copied.lock_holder.write_text(json.dumps({**asdict(Holder.here()), "process": ended.pid}))
        assert holder_of(copied) is None, process
        ended.wait()


def test_to_ask_who_trains_stands_in_nobodys_way(copied, monkeypatch):
    asked = threading.Event()

    def ask():
        while not asked.is_set():
            holder_of(copied)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for _ in range(50):
            with locked(copied):  # is refused if another holds the lock, be it for a moment
                pass
    finally:
        asked.set()
        thread.join()


def test_who_trains_at_another_address(monkeypatch):
    for name, seconds in (("_RENEWED", 0.1), ("_DEAD", 0.5)):
        monkeypatch.setattr(lease, name, seconds)
    run = Run(place("memory://live/held"), load("digits", TINY))
    assert holder_of(run) is None
    with locked(run):
        assert holder_of(run).process == os.getpid()
        alive = lease.read_holder(run.lock_holder)
    run.path.fs.pipe_file(run.lock_holder.path, lease._content(replace(alive, host="elsewhere")))
    assert holder_of(run) is None  # nobody renews it


def test_a_run_at_another_address_is_watched_to_its_end(few_analyses):
    run, _ = trained(place("memory://live/run"))
    told = []
    live.watch(run, 0.1, told.append)
    assert "9 of 9 member-epochs" in told[0]
    assert "memory://live/run/report.html" in told[0]
    assert "being trained" not in run.report.read_text()
    assert live.pace(run, standings(run)).examples_a_second > 0


def command(*arguments):
    return [sys.executable, "-m", "modescope", *arguments]


def said(*arguments):
    ended = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=120)
    return ended.returncode, ended.stdout, ended.stderr


def test_watch_and_info_beside_a_training_and_after_its_death(tmp_path):
    path = tmp_path / "run"
    slower = ("training.epochs=400", "data.train_examples=1000", "training.batch_size=8")
    more = [*(part for setting in slower for part in ("--set", setting)), "--engine", "sequential"]
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
        assert re.search(r"[\d.e+]+ member-epochs a minute, [\d,]+ examples a second, about \d+ (s|min) left", told)
        while not (path / "report.html").is_file():
            assert time.monotonic() < deadline + 240
            assert training.poll() is None
            time.sleep(0.1)
        html = (path / "report.html").read_text()
        assert re.search(r"This run is being trained: \d+ of 1200 member-epochs, about \d+ (s|min) left\. ", html)
        assert re.search(r"Everything here is of member 0 alone up to epoch \d+\.", html)
        assert 'id="follow"' in html
        assert not (path / "analyses").exists()
        assert not (path / "figures").exists()
        os.kill(training.pid, signal.SIGKILL)
        training.wait()
        _, complaint = watching.communicate(timeout=300)
        assert watching.returncode == 2
        assert "is not finished, and nobody trains it" in complaint
        assert "This run is not finished, and nobody trains it: " in (path / "report.html").read_text()
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


def test_a_page_of_all_analyses_that_came_meanwhile_is_kept(copied, few_analyses, monkeypatch):
    before = copied.report.read_bytes()
    found = standings(copied)
    assert not live.write_page(copied, found, finished=True, busy=False)
    assert copied.report.read_bytes() == before
    copied.report.unlink()
    assert live.write_page(copied, found, finished=True, busy=False)


def test_a_command_may_hold_no_lock_for_a_moment_between_preparing_and_training(copied, monkeypatch):
    holders = [None, Holder.here(), None, None]
    monkeypatch.setattr(live, "_BETWEEN", 0.0)
    monkeypatch.setattr(live, "holder_of", lambda run: holders.pop(0))
    copied.history(0).unlink()
    assert live._looked_at(copied)[0]
    assert not live._looked_at(copied)[0]


def test_nothing_is_written_again_while_nothing_arrives(copied, monkeypatch):
    copied.history(2).unlink()
    holders = [Holder.here()] * 4 + [None] * 2
    pages = []
    monkeypatch.setattr(live, "_BETWEEN", 0.0)
    monkeypatch.setattr(live, "holder_of", lambda run: holders.pop(0))
    monkeypatch.setattr(live, "write_page", lambda run, found, **state: pages.append(state["busy"]) or True)
    with pytest.raises(RunError, match="nobody trains it"):
        live.watch(copied, 0.0, lambda told: None)
    assert pages == [True, False]  # once as it was found, once as nobody trained it any more


def test_a_run_that_nobody_trains_is_refused_after_its_page(tmp_path, few_analyses, monkeypatch):
    monkeypatch.setattr(live, "_BETWEEN", 0.0)
    run, _ = trained(tmp_path / "run")
    (run.history(2)).unlink()
    with pytest.raises(RunError, match="nobody trains it"):
        live.watch(run, 0.1, lambda told: None)
    assert "first 2 members up to epoch 3" in run.report.read_text()


def test_throughput_by_hand():
    found = Throughput(examples=128, began=100.0)
    assert found.told(10, 100.0) == ""
    found.done = 30
    assert found.told(10, 160.0) == "30 member-epochs/min, 64 examples/s, 20 s left"
    assert found.told(0, 160.0) == "30 member-epochs/min, 64 examples/s"


def test_plain_lines_tell_of_all_members():
    console = Console(width=200, record=True, force_terminal=False, file=open(os.devnull, "w"))
    with PlainProgress(console, {0: 0, 1: 2}, 4, 128) as on_epoch:
        on_epoch(0, record(1))
        on_epoch(1, record(4))
    first, last = console.export_text().splitlines()
    console.file.close()
    assert "(all: 3/8, " in first
    assert "(all: 5/8, " in last
    assert re.search(r"examples/s, \d+ s left\)$", last)


def test_plain_lines_about_many_members_are_few():
    console = Console(width=200, record=True, force_terminal=False, file=open(os.devnull, "w"))
    with PlainProgress(console, dict.fromkeys(range(50), -1), 4, 128) as on_epoch:
        for epoch in range(4):
            for member in range(50):
                on_epoch(member, record(epoch))
        on_epoch(7, record(4))
    first, last = console.export_text().splitlines()
    console.file.close()
    assert first.startswith("member 0: epoch 0/4")
    assert last.startswith("member 7: epoch 4/4")


def test_of_many_members_those_at_work_have_a_line():
    console = Console(width=160, force_terminal=True, file=open(os.devnull, "w"))
    lines = LiveProgress(console, dict.fromkeys(range(50), 0), 4, 128)
    with lines as on_epoch:
        on_epoch(3, record(1))
        on_epoch(7, record(2))
        on_epoch(7, record(4))
        shown = [task.description for task in lines._progress.tasks if task.visible]
        assert shown == ["member   3", "finished", "all members"]
        for member in range(3, 50):
            on_epoch(member, record(4 if member == 7 else 2))
        shown = [task.description for task in lines._progress.tasks if task.visible]
        assert shown[:12] == [f"member {member:>3}" for member in (3, 4, 5, 6, *range(8, 16))]
        assert shown[12:] == ["finished", "all members"]
        finished = lines._progress.tasks[-2]
        assert (finished.completed, finished.fields["told"]) == (1, "46 at work, 3 waiting")
        plain = Console(width=80, record=True, file=console.file)
        plain.print(lines._progress.get_renderable())
        drawn = plain.export_text().splitlines()
        assert len(drawn) == 15
        assert "…" not in "".join(drawn)  # nothing is cut off on eighty columns
        assert "member-epochs/min" in drawn[-1]
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
