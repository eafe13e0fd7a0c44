"""The run directory: readable without modescope, whole or not there, and damaged files named and made again."""

import json
import resource
import shutil
import subprocess
import sys

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
import xarray as xr
import zarr

import modescope.training.member
from conftest import TINY, files, trained
from modescope import study
from modescope.analyses import NAMES
from modescope.data import load_data
from modescope.errors import DamagedFileError, DiskFullError, MembersFailedError, RunError
from modescope.files import replaced_folder, write_bytes
from modescope.recipe import load, parse
from modescope.store.epochs import check_member
from modescope.store.predictions import check_frame, check_predictions, read_epoch, write_predictions
from modescope.store.provenance import read_provenance
from modescope.store.results import read_result
from modescope.store.run import open_run
from modescope.store.snapshots import check_snapshots, read_snapshot
from modescope.training.member import initial_network


def flip(path, offset=-20):
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def chunk(run, member, epoch):
    return run.predictions / "log_prob" / "c" / str(member) / str(epoch) / "0" / "0"


# --- what a run holds, read without modescope ---------------------------------------------------------------------


def test_a_run_holds_what_the_design_says(finished):
    names = {str(path.relative_to(finished.path)) for path in finished.path.rglob("*")}
    expected = {"recipe.toml", "provenance.json", "predictions.zarr", "report.html"}
    for member in ("000", "001", "002"):
        expected |= {f"members/{member}/history.jsonl", f"members/{member}/resume.safetensors"}
        expected |= {f"members/{member}/snapshots/{epoch:03d}.safetensors" for epoch in range(4)}
    for analysis in NAMES:
        expected |= {f"analyses/{analysis}.zarr"} | {f"figures/{analysis}.{suffix}" for suffix in ("png", "svg", "pdf")}
    assert expected <= names
    assert not [name for name in names if ".partial" in name]


def test_predictions_are_read_by_plain_xarray(finished):
    dataset = xr.open_zarr(finished.predictions, chunks=None)
    assert dataset["log_prob"].dims == ("member", "epoch", "example", "class")
    assert dataset["log_prob"].shape == (3, 4, 150, 10)
    assert dataset["log_prob"].dtype == np.float32
    assert dataset["log_prob"].attrs["units"] == "nat"
    assert list(dataset["class"].to_numpy()) == list("0123456789")
    assert dataset["epoch"].to_numpy().tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(np.exp(dataset["log_prob"].to_numpy()).sum(-1), 1, atol=1e-5)
    data = load_data(finished.recipe.data)
    np.testing.assert_array_equal(dataset["label"].to_numpy(), data.test.labels)


def test_snapshots_are_read_by_plain_safetensors_and_give_the_predictions(finished):
    """The weights on disk and the predictions, which were made from the weights in memory, belong together."""
    data = load_data(finished.recipe.data)
    images = torch.from_numpy(np.asarray(data.test.inputs)).permute(0, 3, 1, 2).float() / 16
    for member, epoch in ((0, 0), (1, 2), (2, 3)):
        network = initial_network(finished.recipe, 0, data.input_shape, 10)
        network.load_state_dict(safetensors.torch.load_file(finished.snapshot(member, epoch)), strict=True)
        with torch.no_grad():
            log_prob = torch.log_softmax(network.eval()(images), 1)
        np.testing.assert_allclose(read_epoch(finished, member, epoch), log_prob, atol=1e-5)


def test_snapshots_name_their_parameters(finished):
    network = initial_network(finished.recipe, 0, (8, 8, 1), 10)
    with safetensors.safe_open(finished.snapshot(1, 2), "pt") as file:
        metadata = json.loads(file.metadata()["modescope"])
    assert metadata == {"member": 1, "epoch": 2, "parameters": [name for name, _ in network.named_parameters()]}
    assert read_snapshot(finished, 1, 2).parameters == tuple(metadata["parameters"])


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="needs sha256sum")
def test_the_ledger_is_what_sha256sum_reads(copied):
    folder = copied.ledger(1).parent

    def check():
        return subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True).returncode

    assert check() == 0
    flip(copied.snapshot(1, 2))
    assert check() != 0


def test_history_lines_have_the_designs_fields(finished):
    lines = [json.loads(line) for line in finished.history(2).read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [0, 1, 2, 3]
    assert set(lines[0]) == {
        "epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "learning_rate", "seconds",
    }  # fmt: skip


def test_the_recipe_in_a_run_is_the_whole_recipe(finished):
    text = (finished.path / "recipe.toml").read_text()
    assert parse(text, origin="recipe.toml") == finished.recipe
    assert "learning_rate" in text
    assert "threads_per_member" in text


def test_provenance_says_how_it_was_made(finished):
    recorded = read_provenance(finished)
    assert recorded["engine"] == "sequential"
    assert recorded["versions"]["torch"] == torch.__version__
    assert len(recorded["data"]["sha256"]) == 64
    assert recorded["recipe_sha256"] == finished.recipe.sha256()
    assert set(recorded["seconds"]) == {"train", "analyze", "report"}
    assert recorded["earlier"] == []


def test_provenance_is_of_those_that_trained(copied):
    recorded = {**read_provenance(copied), "versions": {"torch": "1.0"}, "made": "long ago"}
    copied.provenance.write_text(json.dumps(recorded))
    study.plan(copied.recipe, copied.path, engine="sequential")
    assert read_provenance(copied)["made"] == "long ago"
    copied.snapshot(0, 3).unlink()
    study.plan(copied.recipe, copied.path, engine="sequential")
    now = read_provenance(copied)
    assert now["versions"]["torch"] == torch.__version__
    assert [earlier["made"] for earlier in now["earlier"]] == ["long ago"]
    assert now["earlier"][0]["versions"] == {"torch": "1.0"}


def test_a_killed_command_forgets_little_of_the_time_it_took(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "_COUNTED_SECONDS", 0.0)
    training = study.plan(load("digits", TINY), tmp_path / "run", engine="sequential")
    seen = []
    study.carry_out(training, lambda member, record: seen.append(read_provenance(training.run).get("seconds")))
    assert seen[-1]["train"] > 0
    assert read_provenance(training.run)["seconds"]["train"] >= seen[-1]["train"]


# --- damage -------------------------------------------------------------------------------------------------------


DAMAGE = {
    "a changed bit of a snapshot": lambda run: flip(run.snapshot(1, 2)),
    "a cut snapshot": lambda run: run.snapshot(1, 2).write_bytes(run.snapshot(1, 2).read_bytes()[:100]),
    "an empty snapshot": lambda run: run.snapshot(1, 2).write_bytes(b""),
    "a lost snapshot": lambda run: run.snapshot(1, 2).unlink(),
    "another member's snapshot": lambda run: shutil.copy(run.snapshot(0, 2), run.snapshot(1, 2)),
    "a changed bit of predictions": lambda run: flip(chunk(run, 1, 2)),
    "cut predictions": lambda run: chunk(run, 1, 2).write_bytes(chunk(run, 1, 2).read_bytes()[:100]),
    "lost predictions": lambda run: chunk(run, 1, 2).unlink(),
    "the first snapshot": lambda run: flip(run.snapshot(1, 0)),
    "the last snapshot": lambda run: flip(run.snapshot(1, 3)),
    "a changed bit of the resume file": lambda run: flip(run.resume(1)),
    "a cut resume file": lambda run: run.resume(1).write_bytes(run.resume(1).read_bytes()[:-9]),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_named_and_only_it_is_made_again(copied, damage):
    before, history = files(copied), copied.history(1).read_text()
    DAMAGE[damage](copied)
    damaged = {name for name, content in files(copied).items() if before[name] != content}
    damaged |= set(before) - set(files(copied))
    assert len(damaged) == 1
    training = study.plan(copied.recipe, copied.path, engine="sequential")
    assert [str(error.path.relative_to(copied.path)) for error in training.damaged] == sorted(damaged)
    assert "Run the same `modescope train` command again" in str(training.damaged[0])
    assert set(training.job.members) == {1}
    written = {path: path.stat().st_mtime_ns for path in copied.path.rglob("*") if path.is_file()}
    study.carry_out(training, lambda member, record: None)
    assert files(copied) == before
    assert copied.history(1).read_text() == history  # with the seconds of the first time
    touched = {
        str(path.relative_to(copied.path))
        for path, when in written.items()
        if path.stat().st_mtime_ns != when and path.name not in ("provenance.json", "history.jsonl", "SHA256SUMS")
    }
    assert touched <= damaged
    assert not study.plan(copied.recipe, copied.path, engine="sequential").job.members


def test_reading_what_is_damaged_names_it(copied):
    flip(copied.snapshot(2, 1))
    flip(chunk(copied, 0, 3))
    with pytest.raises(DamagedFileError, match=r"002/snapshots/001.safetensors is damaged \(its SHA-256 is not"):
        read_snapshot(copied, 2, 1)
    with pytest.raises(DamagedFileError, match=r"c/0/3/0/0 is damaged \(Stored and computed checksum do not"):
        read_epoch(copied, 0, 3)
    assert set(check_snapshots(copied, 2, range(4))) == {1}
    assert set(check_predictions(copied, 0, range(4))) == {3}
    with pytest.raises(DamagedFileError, match=r"c/0/3/0/0 is damaged"):
        study.analyze(copied, ["similarity_snapshots"])


def test_a_lost_or_broken_history_is_made_again(copied):
    before = files(copied)
    copied.history(1).write_text(copied.history(1).read_text()[:-40])
    assert check_member(copied, 1).missing == {3}
    study.carry_out(study.plan(copied.recipe, copied.path, engine="sequential"), lambda member, record: None)
    copied.history(0).unlink()
    study.carry_out(study.plan(copied.recipe, copied.path, engine="sequential"), lambda member, record: None)
    assert files(copied) == before


def test_a_lost_ledger_is_made_again(copied):
    before = files(copied)
    copied.ledger(0).unlink()
    study.carry_out(study.plan(copied.recipe, copied.path, engine="sequential"), lambda member, record: None)
    assert files(copied) == before


FRAME = {
    "lost labels": lambda frame: shutil.rmtree(frame / "label" / "c"),
    "a changed bit of the labels": lambda frame: flip(frame / "label" / "c" / "0"),
    "lost class names": lambda frame: shutil.rmtree(frame / "class"),
    "broken metadata of the predictions": lambda frame: (frame / "log_prob" / "zarr.json").write_text("{"),
    "broken metadata of the labels": lambda frame: (frame / "label" / "zarr.json").write_text("{"),
    "broken metadata of all": lambda frame: (frame / "zarr.json").write_text("{"),
}


@pytest.mark.parametrize("damage", FRAME)
def test_labels_and_names_that_are_damaged_are_named_and_mended_without_training(copied, damage):
    before = files(copied)
    FRAME[damage](copied.predictions)
    assert check_frame(copied) is not None
    with pytest.raises(DamagedFileError, match=r"predictions\.zarr.* is damaged .*modescope train"):
        study.analyze(copied, ["confusion"])
    training = study.plan(copied.recipe, copied.path, engine="sequential")
    assert len(training.damaged) == 1
    assert not training.job.members
    assert files(copied) == before


def test_labels_that_are_not_the_datas_are_put_right(copied):
    before = files(copied)
    zarr.open_array(copied.predictions / "label", mode="r+")[:] = 7
    told = study.plan(copied.recipe, copied.path, engine="sequential").damaged
    assert "these are not the labels of the data" in str(told[0])
    assert files(copied) == before


def test_repair_does_not_mix_two_networks(copied, monkeypatch):
    """What was damaged cannot be made again where the same training gives other bits, and is not pretended to be."""
    flip(copied.snapshot(1, 1))
    before = files(copied)
    build = modescope.training.member.build_optimizer
    monkeypatch.setattr("modescope.training.member.build_optimizer", lambda network, settings: build(network, other))
    other = copied.recipe.training.model_copy(update={"epsilon": 1e-7})
    training = study.plan(copied.recipe, copied.path, engine="sequential")
    with pytest.raises(MembersFailedError, match=r"Member 1: trained again, it became another network .* Delete .*001"):
        study.carry_out(training, lambda member, record: None)
    assert files(copied) == before
    monkeypatch.undo()
    study.carry_out(study.plan(copied.recipe, copied.path, engine="sequential"), lambda member, record: None)
    assert not study.plan(copied.recipe, copied.path, engine="sequential").job.members


def test_a_members_folder_may_be_deleted_and_all_of_it_is_made_again(copied):
    before = files(copied)
    shutil.rmtree(copied.member(1))
    training = study.plan(copied.recipe, copied.path, engine="sequential")
    assert training.job.members[1].predictions == set(range(4))
    study.carry_out(training, lambda member, record: None)
    assert files(copied) == before


def test_predictions_that_are_all_one_value_are_on_disk_all_the_same(copied):
    write_predictions(copied, 0, 3, np.full((150, 10), np.nan, np.float32))
    assert np.isnan(read_epoch(copied, 0, 3)).all()
    assert check_predictions(copied, 0, [3]) == {}


def test_a_damaged_result_says_how_to_make_it(copied):
    for part in (copied.analysis("confusion") / "count").rglob("0"):
        if part.is_file():
            part.write_bytes(b"?")
    with pytest.raises(RunError, match=r"confusion\.zarr cannot be read .*`modescope analyze .* confusion` makes it"):
        read_result(copied, "confusion")
    study.analyze(copied, ["confusion"])
    assert read_result(copied, "confusion")["count"].sum() == 3 * 4 * 150


# --- folders that are something else ------------------------------------------------------------------------------


def test_folders_that_are_no_run(tmp_path):
    with pytest.raises(RunError, match="There is no run at"):
        open_run(tmp_path / "none")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("years")
    with pytest.raises(RunError, match="is no run: it has no recipe.toml"):
        open_run(tmp_path / "full")
    with pytest.raises(RunError, match="is not empty and is no run"):
        trained(tmp_path / "full")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.tex"]
    with pytest.raises(RunError, match="is a file; the output must be a folder"):
        trained(tmp_path / "full" / "thesis.tex")
    (tmp_path / "full" / "recipe.toml").write_text("[training]\nepochs = 'many'")
    with pytest.raises(RunError, match="whose recipe cannot be read"):
        open_run(tmp_path / "full")


def test_another_recipe_is_refused_and_shown(copied):
    before = files(copied)
    with pytest.raises(RunError, match=r"training\.epochs is 3 there and 4 here; .*Name another folder") as caught:
        study.plan(
            load("digits", [*TINY, "training.epochs=4", "training.learning_rate=0.01"]),
            copied.path,
            engine="sequential",
        )
    assert "training.learning_rate" in str(caught.value)
    assert files(copied) == before
    assert open_run(copied.path).recipe == copied.recipe


def test_analysis_settings_may_change_and_the_run_keeps_the_new_ones(copied):
    other = load("digits", [*TINY, "analyses.ensemble_size.bins=7"])
    assert not study.plan(other, copied.path, engine="sequential").job.members
    assert open_run(copied.path).recipe.analyses.ensemble_size.bins == 7
    assert study.saved_results(open_run(copied.path)) is None  # they are of the former settings


def test_other_data_under_the_same_name_are_refused(tmp_path):
    generator = np.random.default_rng(0)

    def save(shift):
        images = generator.integers(0, 200, (40, 8, 8), dtype=np.uint8) + np.uint8(shift)
        labels = np.arange(40) % 10
        np.savez(tmp_path / "data.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)

    settings = (f"data.source=npz:{tmp_path}/data.npz", "data.train_examples=40", "data.test_examples=40")
    save(0)
    run, _ = trained(tmp_path / "run", *settings)
    before = (run.path / "recipe.toml").read_text()
    save(5)
    with pytest.raises(RunError, match="was made from other data: their SHA-256 was"):
        trained(tmp_path / "run", *settings, "analyses.hardness.fraction=0.2")
    assert (run.path / "recipe.toml").read_text() == before


# --- whole files or none ------------------------------------------------------------------------------------------


def test_a_failed_write_leaves_the_old_file(tmp_path):
    write_bytes(tmp_path / "file", b"old")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
    try:
        with pytest.raises(DiskFullError, match=r"Could not write .*file: file too large\. .* make room"):
            write_bytes(tmp_path / "file", bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"old")]


def test_a_failed_folder_leaves_the_old_one(tmp_path):
    with replaced_folder(tmp_path / "folder") as folder:
        (folder / "a").write_text("old")

    def fail():
        with replaced_folder(tmp_path / "folder") as folder:
            (folder / "a").write_text("new")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    assert (tmp_path / "folder" / "a").read_text() == "old"


def test_what_a_killed_writer_left_is_swept(copied):
    left = copied.snapshot(0, 1).with_name(".partial-1-001.safetensors")
    left.write_bytes(b"half")
    of_zarr = chunk(copied, 0, 1).with_name("0.1f2e.partial")
    of_zarr.write_bytes(b"half")
    study.plan(copied.recipe, copied.path, engine="sequential")
    assert not left.exists()
    assert not of_zarr.exists()


@pytest.mark.parametrize(
    ("engine", "limit"),
    [
        *(("sequential", limit) for limit in (7_000, 12_000, 40_000)),
        *(("processes", limit) for limit in (7_000, 40_000)),
    ],
)
def test_a_full_disk_ends_with_one_paragraph_and_a_run_that_goes_on(tmp_path, engine, limit):
    """The file size is limited as a full disk would: in shared data, predictions, snapshots, or the resume file."""
    reference, _ = trained(tmp_path / "reference")
    settings = [part for setting in TINY for part in ("--set", setting)]
    command = f"""
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from modescope.cli import main
import modescope.study, torch._dynamo
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
sys.argv = ["modescope", "train", "digits", "-o", {str(tmp_path / "run")!r}, "--engine", {engine!r}]
sys.argv += {settings!r}
main()
"""
    ended = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)
    assert ended.returncode == 1, ended.stderr
    assert "Could not write" in ended.stderr
    assert "make room" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert not list((tmp_path / "run").rglob(".partial*"))
    run, _ = trained(tmp_path / "run")
    assert files(run) == files(reference)
