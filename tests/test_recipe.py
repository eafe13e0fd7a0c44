"""Recipes: what is read, what is refused, and how it is said."""

import json
import re
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modescope import recipe
from modescope.errors import RecipeError
from modescope.recipe import builtin_names, builtin_text, differences, load, parse, schema

BUILTIN = {
    "digits",
    "report-smallcnn",
    "report-mediumcnn",
    "report-resnet20",
    "paper-smallcnn",
    "paper-mediumcnn",
    "paper-resnet20",
    "paper-resnet20-cifar100",
}


def test_all_builtin_recipes_are_there_and_named_as_their_files():
    assert set(builtin_names()) == BUILTIN
    assert all(load(name).name == name for name in builtin_names())


@pytest.mark.parametrize("name", sorted(BUILTIN))
def test_toml_out_and_in_is_the_same_recipe(name):
    loaded = load(name)
    assert parse(loaded.toml()) == loaded
    assert parse(loaded.toml()).sha256() == loaded.sha256()


@pytest.mark.parametrize("name", sorted(BUILTIN))
def test_builtin_recipes_name_their_source_in_comments(name):
    assert re.match(r"# .*(19|20)\d\d", builtin_text(name).replace("\n", " "))


def test_defaults_are_written_out():
    written = tomllib.loads(load("digits").toml())
    assert written["training"]["threads_per_member"] == 1
    assert written["ensemble"]["vary"] == ["init", "order", "dropout", "augment"]
    assert written["snapshots"]["epochs"] == "all"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("report-smallcnn", {"epochs": 40, "batch_size": 128, "learning_rate": 1.6e-3, "schedule": "report"}),
        ("report-resnet20", {"epochs": 40, "augment": "report"}),
        ("paper-mediumcnn", {"epochs": 40, "schedule": "paper", "sampling": "replacement", "epsilon": 1e-8}),
        ("paper-resnet20", {"epochs": 200, "schedule": "keras-resnet", "augment": "keras-resnet"}),
        ("paper-resnet20-cifar100", {"epochs": 200, "learning_rate": 1e-3, "schedule": "paper-cifar100"}),
    ],
)
def test_builtin_recipes_have_the_protocols_values(name, values):
    training = load(name).training
    assert {key: getattr(training, key) for key in values} == values


def test_the_papers_recipes_draw_networks_as_the_paper_does():
    presets = {name: load(name).analyses.subspaces.preset for name in BUILTIN}
    assert presets == {name: "paper" if name.startswith("paper-") else "faithful" for name in BUILTIN}


def test_overrides_reach_nested_fields_and_bare_words_are_strings():
    changed = load("digits", ["ensemble.members=3", "data.source=npz:x.npz", "model.kwargs.dropout=0.5"])
    assert changed.ensemble.members == 3
    assert changed.data.source == "npz:x.npz"
    assert changed.model.kwargs == {"dropout": 0.5}
    assert load("digits", ["ensemble.vary=init,order"]).ensemble.vary == ("init", "order")
    assert load("digits", ["training.schedule=[[3, 0.1]]"]).training.schedule == ((3, 0.1),)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epoch=3", "the nearest key is training.epochs"),
        ("epochs=3", "the nearest key is training.epochs"),
        ("members=3", "the nearest key is ensemble.members"),
        ("optimiser=adam", "the nearest key is training.optimizer"),
        ("analyses.hardness.fractio=0.1", "the nearest key is analyses.hardness.fraction"),
        ("analyses.nothing.x=1", "analyses.nothing is not a key"),
        ("zzz=1", "the keys and sections of a recipe are name, data"),
        ("ensemble.members=0", "ensemble.members cannot be 0: input should be greater than or equal to 1"),
        ("training.epochs=-1", "training.epochs cannot be -1: input should be greater than or equal to 0"),
        ("training.epochs=2.5", "training.epochs cannot be 2.5"),
        ("training.epochs='3'", "training.epochs cannot be '3'"),
        ("training.learning_rate=nan", "training.learning_rate cannot be nan: input should be a finite number"),
        ("ensemble.vary=init,ordr", "cannot be 'ordr'"),
        ("snapshots.epochs=last:0", "all, last:K, or a list of epochs"),
        ("training.schedule=fast", "'constant', 'cosine', 'cyclic-cosine'"),
        ("members", "`--set members` is no assignment"),
        ("name.x=1", "name is a value, not a section"),
        ("name=../up", "name cannot be '../up'"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_write(override, message):
    with pytest.raises(RecipeError, match=re.escape(message)):
        load("digits", [override])


def test_report_augmentation_is_refused_where_it_would_clip_wrongly():
    with pytest.raises(RecipeError, match="needs data.scaling = 'unit', not 'raw'"):
        load("digits", ["training.augment=report", "data.scaling=raw"])


def test_what_varies_is_a_set():
    one, other = (load("digits", [f"ensemble.vary={words}"]) for words in ("order,init,init", "init,order"))
    assert one == other


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("training.schedule=[[0, -1.0]]", "training.schedule"),
        ("training.schedule=[[-1, 1.0]]", "training.schedule"),
        ("snapshots.epochs=[99]", "snapshots.epochs asks for epoch 99, and training.epochs is 30"),
        ("model.kwargs.x=nan", "model.kwargs"),
        ("model.kwargs.x=2020-01-01", "model.kwargs"),
        ("analyses.trajectory_map.seed=5000000000", "analyses.trajectory_map.seed"),
    ],
)
def test_values_that_would_fail_later_are_refused_now(override, words):
    with pytest.raises(RecipeError, match=words):
        load("digits", [override])


def test_unknown_recipe_names_the_nearest():
    with pytest.raises(RecipeError, match="nearest built-in recipe is 'report-smallcnn'"):
        load("report-smalcnn")


def test_broken_toml_and_binary_files_are_refused(tmp_path):
    broken = tmp_path / "broken.toml"
    broken.write_text("a = [")
    with pytest.raises(RecipeError, match=r"broken\.toml is not valid TOML"):
        load(str(broken))
    broken.write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match="not UTF-8"):
        load(str(broken))


def test_a_recipe_is_frozen():
    with pytest.raises(Exception, match="frozen"):
        load("digits").training.epochs = 3


def test_schema_describes_every_section_and_is_json():
    described = json.loads(json.dumps(schema()))
    assert set(described["properties"]) == set(recipe.Recipe.model_fields)
    assert described["$defs"]["EnsembleSettings"]["properties"]["members"]["minimum"] == 1


def test_differences_ignore_what_trains_nothing():
    ours = load("digits")
    assert differences(ours, load("digits", ["name=other", "analyses.ensemble_size.bins=5"])) == {}
    assert differences(ours, load("digits", ["ensemble.seed=1"])) == {"ensemble.seed": (0, 1)}
    assert differences(ours, load("digits", ["model.kwargs.dropout=0.3"])) == {"model.kwargs.dropout": (None, 0.3)}


@pytest.mark.parametrize(
    ("kept", "epochs", "expected"),
    [("all", 2, {0, 1, 2}), ("last:2", 5, {4, 5}), ("last:9", 2, {0, 1, 2}), ("[0, 7, 3]", 5, {0, 3})],
)
def test_kept_snapshots(kept, epochs, expected):
    assert load("digits", [f"snapshots.epochs={kept}"]).snapshots.kept(epochs) == expected


@given(st.integers(1, 10**6), st.floats(1e-9, 1e3), st.sampled_from(["all", "last:3"]))
def test_any_valid_recipe_survives_toml(members, rate, kept):
    values = [f"ensemble.members={members}", f"training.learning_rate={rate!r}", f"snapshots.epochs={kept}"]
    made = load("digits", values)
    assert parse(made.toml()) == made
