"""What to train, as frozen and validated values; TOML in and out.

A recipe says everything that decides what a member becomes, and nothing about who trains it: engine, workers and
device are asked for on the command line.
"""

import difflib
import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import tomli_w
from pydantic import BaseModel, Field, ValidationError, model_validator

from modescope.analysis_settings import AnalysesSettings
from modescope.errors import RecipeError
from modescope.settings import (
    DataSettings,
    EnsembleSettings,
    ModelSettings,
    Section,
    SnapshotSettings,
    TrainingSettings,
)


class Recipe(Section):
    """Everything that decides what the members become and how they are looked at."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = "unnamed"
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()
    ensemble: EnsembleSettings = EnsembleSettings()
    snapshots: SnapshotSettings = SnapshotSettings()
    analyses: AnalysesSettings = AnalysesSettings()

    @model_validator(mode="after")
    def _augmentation_fits_scaling(self) -> "Recipe":
        if self.training.augment == "report" and self.data.scaling != "unit":
            raise ValueError(
                "training.augment = 'report' clips brightness to [0, 1], so it needs data.scaling = 'unit', "
                f"not {self.data.scaling!r}"
            )
        return self

    @model_validator(mode="after")
    def _cycles_fit(self) -> "Recipe":
        training = self.training
        if training.cycles > 1 and training.schedule != "cyclic-cosine":
            raise ValueError(
                f"training.cycles = {training.cycles} needs training.schedule = 'cyclic-cosine', not "
                f"{training.schedule!r}"
            )
        if training.cycles > 1 and (training.epochs % training.cycles or not training.epochs):
            raise ValueError(
                f"training.epochs = {training.epochs} is no multiple of training.cycles = {training.cycles}"
            )
        return self

    @model_validator(mode="after")
    def _kept_epochs_are_trained(self) -> "Recipe":
        kept = () if isinstance(self.snapshots.epochs, str) else self.snapshots.epochs
        beyond = [epoch for epoch in kept if epoch > self.training.epochs]
        if beyond:
            raise ValueError(
                f"snapshots.epochs asks for epoch {beyond[0]}, and training.epochs is {self.training.epochs}"
            )
        return self

    @property
    def states(self) -> int:
        """The number of states a member passes through: its epochs and its initialisation."""
        return self.training.epochs + 1

    def values(self) -> dict[str, Any]:
        """Every setting as plain TOML values, defaults written out."""
        return self.model_dump(mode="json")

    def flat_values(self) -> dict[str, Any]:
        """Every setting by its dotted key."""
        return dict(_flat(self.values()))

    def toml(self) -> str:
        """The recipe as a TOML document that `parse` reads back to an equal recipe."""
        return tomli_w.dumps(self.values())

    def sha256(self) -> str:
        """A name for exactly these settings: 64 hexadecimal digits."""
        return _sha256(self.values())

    def sha256_of_analysis(self, *sections: str) -> str:
        """A name for what one analysis hangs on: all that trains, and those sections of `analyses`."""
        values = self.values()
        settings = values.pop("analyses")
        del values["name"]
        return _sha256([values, {name: settings.get(name) for name in sorted(sections)}])


def _sha256(values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def parse(text: str, overrides: Sequence[str] = (), origin: str = "the recipe") -> Recipe:
    """A recipe from TOML text, with `key=value` overrides laid over it.

    Args:
        text: A TOML document.
        overrides: Assignments such as `ensemble.members=5`; values are TOML, and what is no TOML is a string.
        origin: How messages call the text.

    Returns:
        The validated recipe.

    Raises:
        RecipeError: The text is no TOML, a key is unknown (the message names the nearest known one), or a value
            does not fit.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{origin} is not valid TOML: {error}. Compare it with `modescope recipes digits`.") from None
    for override in overrides:
        _assign(values, override)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"In {origin}: {_told(error)}") from None


def load(recipe: str, overrides: Sequence[str] = ()) -> Recipe:
    """A built-in recipe by its name, or a TOML file by its path.

    Args:
        recipe: One of `builtin_names()`, or the path of a TOML file.
        overrides: As in `parse`.

    Returns:
        The validated recipe.

    Raises:
        RecipeError: There is no such recipe, or it cannot be read (see `parse`).
    """
    if recipe in builtin_names():
        return parse(builtin_text(recipe), overrides, f"the recipe {recipe}")
    path = Path(recipe)
    if path.is_file():
        try:
            return parse(path.read_text(encoding="utf-8"), overrides, str(path))
        except UnicodeDecodeError:
            raise RecipeError(f"{path} is not a TOML file: it is not UTF-8 text.") from None
    nearest = difflib.get_close_matches(recipe, builtin_names(), n=1, cutoff=0.4)
    hint = f" The nearest built-in recipe is {nearest[0]!r}." if nearest else ""
    raise RecipeError(
        f"There is no built-in recipe and no file called {recipe!r}.{hint} `modescope recipes` lists the built-in ones."
    )


def builtin_names() -> tuple[str, ...]:
    """The names of the recipes that come with modescope."""
    folder = resources.files("modescope") / "recipes"
    return tuple(sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")))


def builtin_text(name: str) -> str:
    """The TOML of a built-in recipe, with the comments that give its sources."""
    return (resources.files("modescope") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")


def schema() -> dict[str, Any]:
    """The JSON Schema of a recipe."""
    return Recipe.model_json_schema()


def differences(ours: Recipe, theirs: Recipe) -> dict[str, tuple[Any, Any]]:
    """The settings in which two recipes would train other members: dotted key -> (ours, theirs).

    The name and the settings of analyses train nothing and are left out.
    """
    one, other = (
        dict(_flat(recipe.model_dump(mode="json", exclude={"name", "analyses"}))) for recipe in (ours, theirs)
    )
    return {key: (one.get(key), other.get(key)) for key in {**one, **other} if one.get(key) != other.get(key)}


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _assign(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"`--set {override}` is no assignment: write `--set key=value`, as in ensemble.members=5.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word is a string, so that data.source=digits needs no quotes
    *parents, last = key.strip().split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise RecipeError(f"`--set {override}`: {parent} is a value, not a section.")
    values[last] = value


def _told(error: ValidationError) -> str:
    """The first complaint of each field, as one sentence each."""
    told: dict[str, str] = {}
    for complaint in error.errors():
        field, location = _field(complaint["loc"])
        if complaint["type"] == "extra_forbidden":
            told.setdefault(field, f"{field} is not a key of a recipe; {_nearest(field)}.")
        elif not field:
            told.setdefault(field, str(complaint["ctx"]["error"]) + "." if "ctx" in complaint else complaint["msg"])
        else:
            known = f" ({location})" if location else ""
            told.setdefault(field, f"{field} cannot be {complaint['input']!r}: {_expected(complaint)}{known}.")
    return " ".join(told.values())


def _field(location: tuple[int | str, ...]) -> tuple[str, str]:
    """The dotted key a complaint is about, and the field's own description; what pydantic appends is cut off."""
    model: Any = Recipe
    words: list[str] = []
    description = ""
    for part in location:
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            break
        words.append(str(part))
        field = model.model_fields.get(str(part))
        model = field.annotation if field else None
        description = (field.description or "") if field else ""
    return ".".join(words), description


def _expected(complaint: Mapping[str, Any]) -> str:
    message = str(complaint["msg"])
    return message[0].lower() + message[1:]


def _known_keys(model: type[BaseModel] = Recipe, prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _known_keys(field.annotation, f"{prefix}{name}.")
        yield prefix + name


def _nearest(key: str) -> str:
    """The known key whose last word is most like this key's, in the same section if possible; else the keys there."""
    section, _, word = key.rpartition(".")
    known = {name: name.rpartition(".") for name in reversed(list(_known_keys()))}  # reversed: the first one wins
    siblings = {last: name for name, (parent, _, last) in known.items() if parent == section}
    anywhere = {last: name for name, (_, _, last) in known.items()}
    for table, cutoff in ((siblings, 0.6), (anywhere, 0.75)):
        match = difflib.get_close_matches(word, table, n=1, cutoff=cutoff)
        if match:
            return f"the nearest key is {table[match[0]]}"
    place = f"the keys of [{section}]" if section else "the keys and sections of a recipe"
    return f"{place} are {', '.join(reversed(siblings))}"
