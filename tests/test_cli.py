"""The command line as a stranger meets it: real processes, their words, and their exit codes."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass

import numpy as np
import pytest

from conftest import TINY, trained
from modescope import cli
from modescope.recipe import builtin_names, load
from modescope.store.results import read_result
from modescope.store.run import open_run

SETTINGS = [part for setting in TINY for part in ("--set", setting)] + ["--engine", "sequential"]  # no workers to start


@dataclass(frozen=True)
class Ended:
    """What a command printed, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def process(tmp_path):
    """Run a command in an empty folder, as a process of its own."""

    def call(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "modescope", *map(str, arguments)],
            cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "COLUMNS": "100"},
        )  # fmt: skip

    return call


@pytest.fixture
def modescope(tmp_path, monkeypatch, capsys, few_analyses):
    """Run a command in an empty folder, in this process: the same code without seconds of imports."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["modescope", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Ended(ended.value.code or 0, *capsys.readouterr())

    return call


def refused(ended, code, *words):
    """It ended with that code and one paragraph that says those words."""
    told = ended.stderr.strip()
    assert ended.returncode == code, told
    assert len(told.splitlines()) == 1, told
    assert "Traceback" not in told
    assert told.endswith((".", "`", ")")), told
    for word in words:
        assert word in told


def test_run_from_nothing_to_the_page_and_again(process, tmp_path):
    first = process("run", *SETTINGS)
    assert first.returncode == 0, first.stderr
    assert "Training 3 of 3 members of report-smallcnn on digits into runs/digits on the cpu" in first.stdout
    assert "member 2: epoch 3/3, test loss" in first.stdout
    assert re.search(r"gain in accuracy +[+-]\d+\.\d points +[+-]\d+\.\d to [+-]\d+\.\d points +paired", first.stdout)
    assert "The page is runs/digits/report.html" in first.stdout
    assert (tmp_path / "runs" / "digits" / "report.html").is_file()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*") if path.is_file()}
    again = process("run", *SETTINGS)
    assert again.returncode == 0
    assert "Nothing to train: all 3 members of runs/digits have finished their 3 epochs." in again.stdout
    assert "Analyses, figures and page are up to date." in again.stdout
    assert again.stdout.partition("on the test data")[2] == first.stdout.partition("on the test data")[2]
    changed = {path.name for path, when in before.items() if path.stat().st_mtime_ns != when}
    assert changed <= {"recipe.toml", "provenance.json"}


def test_each_step_alone(modescope, tmp_path, few_analyses):
    assert modescope("train", "digits", "-o", "a", *SETTINGS).returncode == 0
    refused(modescope("report", "a"), 2, "a has no analyses to draw. `modescope analyze a` makes them.")
    assert "Analysed confusion" in modescope("analyze", "a", "confusion").stdout
    assert [path.name for path in (tmp_path / "a" / "analyses").iterdir()] == ["confusion.zarr"]
    assert "The page is a/report.html" in modescope("report", "a").stdout
    whole = modescope("run", "digits", "-o", "a", *SETTINGS)
    assert whole.returncode == 0
    assert len(list((tmp_path / "a" / "analyses").glob("*.zarr"))) == len(few_analyses)


def test_train_resumes_and_names_what_was_damaged(modescope, tmp_path):
    assert modescope("train", "digits", "-o", "a", *SETTINGS).returncode == 0
    snapshot = tmp_path / "a" / "members" / "001" / "snapshots" / "002.safetensors"
    content = snapshot.read_bytes()
    snapshot.write_bytes(content[:50])
    told = modescope("info", "a")
    assert told.returncode == 1
    assert "snapshots/002.safetensors is damaged (its SHA-256 is not the recorded one)" in told.stderr
    assert re.search(r"member 1 +3 of 4 states whole", told.stdout)
    refused(modescope("analyze", "a"), 1, "snapshots/002.safetensors is damaged", "Run the same `modescope train`")
    again = modescope("train", "digits", "-o", "a", *SETTINGS)
    assert again.returncode == 0
    assert "002.safetensors is damaged" in again.stderr
    assert "Training 1 of 3 members" in again.stdout
    assert snapshot.read_bytes() == content
    assert modescope("info", "a").returncode == 0


def test_lost_figures_and_a_page_older_than_its_numbers_are_made_again(modescope, copied, few_analyses):
    shutil.rmtree(copied.path / "figures")
    page = copied.report.stat().st_mtime_ns
    assert "up to date" not in modescope("run", "digits", "-o", copied.path, *SETTINGS).stdout
    assert len(list((copied.path / "figures").iterdir())) == 3 * len(few_analyses)
    assert copied.report.stat().st_mtime_ns > page
    assert "up to date" in modescope("run", "digits", "-o", copied.path, *SETTINGS).stdout
    modescope("analyze", copied.path, "confusion")
    assert "up to date" not in modescope("run", "digits", "-o", copied.path, *SETTINGS).stdout


def test_numbers_of_other_settings_are_not_drawn(modescope, copied):
    other = [*SETTINGS, "--set", "analyses.ensemble_size.bins=3"]
    assert modescope("train", "digits", "-o", copied.path, *other).returncode == 0
    refused(modescope("report", copied.path), 2, "with other settings or another version", "modescope analyze")
    assert modescope("run", "digits", "-o", copied.path, *other).returncode == 0
    assert modescope("report", copied.path).returncode == 0


def test_brackets_in_names_are_text(modescope, tmp_path):
    made = modescope("train", "digits", "-o", "out[/b][lr0.1]", *SETTINGS, "--set", "ensemble.members=1")
    assert made.returncode == 0, made.stderr
    assert "into out[/b][lr0.1] on" in made.stdout
    assert modescope("info", "out[/b][lr0.1]").returncode == 0


def test_runs_that_differ_in_what_varies_are_compared_with_one_command(modescope, tmp_path):
    few = ("ensemble.members=3", "training.epochs=2")
    for name, what in (("init", '["init"]'), ("order", '["order"]')):
        trained(tmp_path / name, *few, f"ensemble.vary={what}")
    ended = modescope("compare", "init", "order", "-o", "out")
    assert ended.returncode == 0
    lines = ended.stdout.splitlines()
    assert lines[0].split() == ["run", "init", "order"]
    assert [line.split() for line in lines if line.startswith("what varies")] == [["what", "varies", "init", "order"]]
    assert [line for line in lines if line.startswith("accuracy of 3 averaged")]
    assert "intervals overlap" in ended.stdout or "Members differ" in ended.stdout
    assert (tmp_path / "out" / "vary.png").is_file()
    assert (tmp_path / "out" / "compare.html").is_file()
    assert "cannot tell whether" in ended.stdout or "averaged are " in ended.stdout
    refused = modescope("compare", "init", "-o", "other")
    assert (refused.returncode, refused.stderr) == (2, "compare needs at least two runs.\n")
    assert not (tmp_path / "other").exists()


def test_analyses_are_made_on_the_device_that_is_asked_for(modescope, copied):
    assert modescope("analyze", copied.path, "radial_plane", "--device", "cpu").returncode == 0
    refused = modescope("analyze", copied.path, "radial_plane", "--device", "tpu")
    assert (refused.returncode, refused.stderr) == (2, "There is no device 'tpu'. There are auto, cpu and cuda.\n")


def test_info_says_what_is_there(modescope, finished):
    told = modescope("info", finished.path).stdout
    assert "digits (report-smallcnn on digits)" in told
    assert told.count("finished") >= 3
    assert "ensemble_size" in told


def test_recipes_lists_and_prints_what_can_be_run(modescope, tmp_path):
    listed = modescope("recipes").stdout
    assert all(name in listed for name in builtin_names())
    text = modescope("recipes", "paper-resnet20").stdout
    assert tomllib.loads(text)["model"]["name"] == "resnet20v1"
    (tmp_path / "mine.toml").write_text(text)
    assert load(str(tmp_path / "mine.toml")).training == load("paper-resnet20").training
    schema = json.loads(modescope("recipes", "--schema").stdout)
    assert schema["properties"]["ensemble"]


def test_help_names_every_command_and_imports_nothing_heavy(process):
    told = process("--help")
    assert told.returncode == 0
    for command in ("run", "train", "analyze", "report", "info", "recipes"):
        assert command in told.stdout
    heavy = "import sys, modescope.cli; print({'torch', 'numpy', 'xarray', 'matplotlib'} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert loaded.stdout == "set()\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "digit"], ["no built-in recipe and no file called 'digit'", "digits"]),
        (["run", "--set", "ensemble.member=3"], ["ensemble.member", "ensemble.members"]),
        (["run", "--set", "ensemble.members=0"], ["ensemble.members", "greater than or equal to 1"]),
        (["run", "--set", "training.epochs=-1"], ["training.epochs", "greater than or equal to 0"]),
        (["run", "--set", "training.epochs=ten"], ["training.epochs", "ten"]),
        (["run", "--set", "training.epochs"], ["--set key=value"]),
        (["run", "--set", "data.source=npz:none.npz"], ["none.npz", "no"]),
        (["run", "--set", "data.source=parquet:nowhere"], ["nowhere"]),
        (["run", "--set", "data.source=mnist"], ["mnist", "hf:"]),
        (["run", "--set", "model.name=resnet50"], ["resnet50", "resnet20v1"]),
        (["run", "--set", "model.name=nothing_here:net"], ["nothing_here"]),
        (["run", "--set", "model.name=paper-mediumcnn"], ["paper-mediumcnn", "8 x 8"]),
        (["run", "--engine", "quantum"], ["There is no engine 'quantum'", "sequential"]),
        (["run", "--device", "tpu"], ["There is no device 'tpu'"]),
        (["run", "--workers", "0"], ["--workers 0 is too few"]),
        (["run", "--set", "data.train_examples=1"], ["leaves one class"]),
        (["run", "--set", "data.source=digits:foo"], ["digits"]),
        (["analyze", "nowhere"], ["There is no run at nowhere"]),
        (["report", "."], [". is no run"]),
        (["info", "nowhere"], ["There is no run at nowhere"]),
        (["recipes", "digitz"], ["no built-in recipe and no file called 'digitz'", "digits"]),
    ],
)
def test_wrong_requests_are_one_paragraph_and_write_nothing(modescope, tmp_path, arguments, words):
    refused(modescope(*arguments), 2, *words)
    assert list(tmp_path.iterdir()) == []


BAD = {
    "NaN": ({"x_train": np.full((20, 8, 8), np.nan)}, ["training image 0", "finite"]),
    "lengths": ({"y_train": np.arange(19) % 2}, ["20", "19"]),
    "one class": ({"y_train": np.zeros(20, int), "y_test": np.zeros(20, int)}, ["at least two classes"]),
    "objects": ({"y_train": np.array([0, None] * 10, dtype=object)}, ["y_train", "object"]),
    "outside": ({"y_test": np.arange(20)}, ["test label is 19", "2 classes"]),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_data_are_one_paragraph_and_write_nothing(modescope, tmp_path, fault):
    images, labels = np.zeros((20, 8, 8), np.uint8), np.arange(20) % 2
    arrays = {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels}
    changes, words = BAD[fault]
    np.savez(tmp_path / "bad.npz", **{**arrays, **changes})
    ended = modescope("train", "digits", "-o", "out", "--set", "data.source=npz:bad.npz")
    assert ended.returncode == 2
    assert len(ended.stderr.strip().splitlines()) == 1
    assert all(word.lower() in ended.stderr.lower() for word in words), ended.stderr
    assert not (tmp_path / "out").exists()


def test_a_truncated_file_is_named(modescope, tmp_path):
    images, labels = np.zeros((20, 8, 8), np.uint8), np.arange(20) % 2
    np.savez(tmp_path / "cut.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    content = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    refused(modescope("run", "--set", "data.source=npz:cut.npz"), 2, "cut.npz", "cut short")


def test_another_recipe_in_the_same_folder_is_refused_with_what_differs(modescope):
    assert modescope("train", "digits", "-o", "a", *SETTINGS).returncode == 0
    other = modescope("train", "digits", "-o", "a", *SETTINGS, "--set", "training.epochs=4")
    refused(other, 2, "a was made by another recipe: training.epochs is 3 there and 4 here", "Name another folder")


def test_a_traceback_only_with_debug(process):
    refused(process("info", "nowhere"), 2, "There is no run at nowhere")
    assert "Traceback" in process("info", "nowhere", "--debug").stderr


def test_words_of_typers_own_are_requests_too(modescope):
    assert modescope("runn").returncode == 2
    assert modescope("train").returncode == 2
    assert modescope("info", "a", "--colour").returncode == 2


def test_members_that_fail_make_the_exit_code_one_and_the_others_are_kept(modescope, tmp_path):
    (tmp_path / "half.py").write_text(
        "import torch\n"
        "class Net(torch.nn.Linear):\n"
        "    def __init__(self, *sizes):\n"
        "        super().__init__(*sizes)\n"
        "        self.fails = bool(self.bias[0] > 0)\n"
        "    def forward(self, x):\n"
        "        if self.training and self.fails: raise RuntimeError('a positive start')\n"
        "        return super().forward(x.flatten(1))\n"
        "def net(input_shape, classes):\n"
        "    return Net(64, classes)\n"
    )
    ended = modescope("train", "digits", "-o", "a", *SETTINGS, "--set", "model.name=half:net")
    refused(ended, 1, "a positive start.", "The same command trains only what is missing")
    failed = {int(member) for member in re.findall(r"Member (\d): a positive start", ended.stderr)}
    assert 0 < len(failed) < 3
    told = modescope("info", "a").stdout
    for member in range(3):
        state = "1 of 4 states whole" if member in failed else "finished"
        assert re.search(rf"member {member} +{state}", told), told


def test_a_run_can_be_read_back_in_python(tmp_path):
    run, _ = trained(tmp_path / "run")
    from modescope import study

    study.analyze(open_run(tmp_path / "run"), ["confusion"])
    assert read_result(run, "confusion").sizes["member"] == 3
