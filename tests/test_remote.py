"""Runs at addresses that are not this machine's own: an object store over HTTP, as several processes see it."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict

import pytest
import xarray as xr
from upath import UPath

from conftest import TINY, files, trained
from modescope import remote, study
from modescope.errors import RequestError, RunError
from modescope.files import place, replaced_folder, sweep, write_bytes
from modescope.recipe import load
from modescope.store import lease
from modescope.store.lease import Holder, leased
from modescope.store.lock import locked
from modescope.store.predictions import read_labels
from modescope.store.run import open_run

SETTINGS = [part for setting in TINY for part in ("--set", setting)]


@pytest.fixture(scope="module")
def bucket():
    # an S3 server on this machine, and an empty bucket
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "id")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        place("s3://runs").fs.mkdir("runs")
        yield "s3://runs"
    server.stop()


def downloaded(run, folder):
    run.path.fs.get(run.path.path, str(folder), recursive=True)
    return open_run(folder)


def test_a_path_is_a_path_and_an_address_an_address():
    assert place("runs/digits") == place("file://runs/digits")
    assert isinstance(place("memory://run"), UPath)
    with pytest.raises(RequestError, match=r"^nonsense://run cannot be used: .*nonsense"):
        place("nonsense://run")


def test_a_run_in_an_object_store_is_the_run_on_disk(tmp_path, bucket, few_analyses):
    here, _ = trained(tmp_path / "here")
    there, _ = trained(place(f"{bucket}/sequential"), engine="sequential")
    assert files(downloaded(there, tmp_path / "copy")) == files(here)
    study.report(there, study.analyze(there))
    study.report(here, study.analyze(here))
    copied = downloaded(there, tmp_path / "again")
    assert sorted(file.name for file in (copied.path / "figures").iterdir()) == sorted(
        file.name for file in (here.path / "figures").iterdir()
    )
    for name in ("similarity_members", "confusion"):
        xr.testing.assert_equal(*(xr.open_zarr(run.analysis(name), consolidated=False) for run in (copied, here)))
    assert study.report_is_current(there, study.saved_results(there))
    assert not there.lock_holder.exists()


def test_commands_and_processes_work_there_too(tmp_path, bucket):
    address = f"{bucket}/command"
    command = [sys.executable, "-m", "modescope"]
    made = subprocess.run(
        [*command, "train", "digits", "-o", address, *SETTINGS, "--engine", "processes", "--workers", "2"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    told = subprocess.run([*command, "info", address], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout.count("finished")) == (0, 3), told.stderr
    here, _ = trained(tmp_path / "here")
    assert files(downloaded(open_run(place(address)), tmp_path / "copy")) == files(here)


def test_what_is_damaged_there_is_made_again(tmp_path, bucket):
    run, _ = trained(place(f"{bucket}/damaged"))
    before = files(downloaded(run, tmp_path / "before"))
    write_bytes(run.snapshot(1, 2), b"something else")
    run.path.fs.rm(str(run.predictions.path) + "/log_prob/c/0/3/0/0")
    write_bytes(run.predictions / "label" / "c" / "0", b"no labels")
    again = study.plan(run.recipe, run.path, engine="sequential")
    assert {str(error.path).rpartition("damaged/")[2] for error in again.damaged} == {
        "members/001/snapshots/002.safetensors",
        "predictions.zarr/log_prob/c/0/3/0/0",
        "predictions.zarr/label",
    }
    study.carry_out(again, lambda member, record: None)
    assert files(downloaded(run, tmp_path / "after")) == before
    assert len(read_labels(run)) == 150


def test_a_ray_of_its_own_trains_into_an_object_store(tmp_path, bucket):
    pytest.importorskip("ray")
    run, _ = trained(place(f"{bucket}/ray"), engine="ray", workers=2)
    assert files(downloaded(run, tmp_path / "copy")) == files(trained(tmp_path / "here")[0])


# --- leases -------------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch):
    """Leases that are renewed ten times a second and dead after one and a half."""
    for name, seconds in (("_RENEWED", 0.1), ("_DEAD", 1.5), ("_SETTLED", 0.2)):
        monkeypatch.setattr(lease, name, seconds)


def refuse(holder):
    return RunError(f"held by {holder and holder.process}")


def test_a_second_command_is_refused_while_the_first_lives(bucket, quick):
    run = study.plan(load("digits", TINY), place(f"{bucket}/held"), engine="sequential").run
    with locked(run):
        first = Holder(**json.loads(run.lock_holder.read_text()))
        with pytest.raises(RunError, match=rf"trained by another command \(process {os.getpid()} on "), locked(run):
            pass
        time.sleep(1)
        later = Holder(**json.loads(run.lock_holder.read_text()))
        assert later.token == first.token
        assert later.renewed > first.renewed
    assert not run.lock_holder.exists()


@pytest.mark.parametrize("host", ["elsewhere", "here"])
def test_a_lease_that_a_dead_process_left_is_taken_over(bucket, quick, host):
    file = place(f"{bucket}/left-{host}/lease")
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = Holder("elsewhere", os.getpid()) if host == "elsewhere" else Holder(Holder.here().host, dead.pid)
    file.fs.pipe_file(file.path, json.dumps(asdict(left)).encode())
    started = time.monotonic()
    with leased(file, refuse):
        took = time.monotonic() - started
        assert lease.read_holder(file).process == os.getpid()
    assert (took < 1.0) == (host == "here")  # a process of this machine need not be waited for
    assert not file.exists()


def test_of_many_that_ask_at_once_one_gets_it(bucket, quick):
    file = place(f"{bucket}/many/lease")
    got, refused = [], []

    def ask():
        try:
            with leased(file, refuse):
                got.append(1)
                time.sleep(1)
        except RunError:
            refused.append(1)

    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert (len(got), len(refused)) == (1, 3)


def test_whoever_was_taken_over_lets_the_other_be(bucket, quick):
    file = place(f"{bucket}/taken/lease")
    with leased(file, refuse):
        other = json.dumps(asdict(Holder("elsewhere", 7))).encode()
        file.fs.pipe_file(file.path, other)
        time.sleep(0.5)
        assert file.read_bytes() == other
    assert file.read_bytes() == other


# --- file systems that are no object stores -----------------------------------------------------------------------


def test_where_writing_takes_time_files_are_renamed_into_place(tmp_path, monkeypatch):
    folder = UPath(f"file://{tmp_path}")
    seen = []
    real = folder.fs.mv

    def mv(source, target, **given):
        seen.append((os.path.basename(source), os.path.exists(target)))
        real(source, target, **given)

    monkeypatch.setattr(type(folder.fs), "mv", staticmethod(mv))
    write_bytes(folder / "new" / "file", b"content")
    assert (tmp_path / "new" / "file").read_bytes() == b"content"
    ((name, was_there),) = seen
    assert name.startswith(".partial-")
    assert not was_there
    (tmp_path / "new" / ".partial-left").write_text("x")
    sweep(folder)
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["file"]
    assert remote.create(folder / "once", b"1")
    assert not remote.create(folder / "once", b"2")
    assert (tmp_path / "once").read_bytes() == b"1"


def stop_at_half(folder):
    (folder / "a").write_bytes(b"half")
    raise RuntimeError("killed")


def test_a_replaced_folder_holds_nothing_old(tmp_path):
    folder = UPath("memory://replaced")
    for content in ({"a": b"1", "b/c": b"2"}, {"a": b"3", "d": b"4"}):
        with replaced_folder(folder) as filled:
            for name, value in content.items():
                (filled / name).parent.mkdir(exist_ok=True)
                (filled / name).write_bytes(value)
        found = {name.removeprefix("/replaced/"): folder.fs.cat_file(name) for name in folder.fs.find("/replaced")}
        assert found == content
    with pytest.raises(RuntimeError, match="killed"), replaced_folder(folder) as filled:
        stop_at_half(filled)
    assert folder.fs.cat_file("/replaced/a") == b"3"
