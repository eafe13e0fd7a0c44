"""The settings of a recipe, section by section: types, ranges, defaults, and what each means."""

import json
from typing import Annotated, Any, Literal, get_args

import tomli_w
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

Varying = Literal["init", "order", "dropout", "augment"]
Count = Annotated[int, Field(ge=1)]
Unit = Annotated[float, Field(gt=0, lt=1)]
Epoch = Annotated[int, Field(ge=0)]
Factor = Annotated[float, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


def listed(value: object) -> object:
    """TOML has lists, a frozen recipe has tuples."""
    return tuple(value) if isinstance(value, list) else value


def words(value: object) -> object:
    """`init,order` on the command line is a list of two words."""
    return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else listed(value)


def _in_order(value: tuple[str, ...]) -> tuple[str, ...]:
    """Each once and in one order: what varies is a set, and the same set is the same recipe."""
    return tuple(word for word in get_args(Varying) if word in value)


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse what would not come back from TOML and JSON as it went in."""
    try:
        json.dumps(value, allow_nan=False)
        tomli_w.dumps(value)
    except (TypeError, ValueError):
        raise ValueError("values must be text, finite numbers, true or false, or lists and tables of them") from None
    return value


class Section(BaseModel):
    """A frozen part of a recipe that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class DataSettings(Section):
    """Where the images come from and how they are scaled."""

    source: str = Field(
        "digits", description="digits, hf:REPO[:CONFIG], parquet:DIR, npz:FILE, images:DIR or package.module:function"
    )
    train_examples: Count | Literal["all"] = Field("all", description="a seeded subset of this size, or all")
    test_examples: Count | Literal["all"] = Field("all", description="a seeded subset of this size, or all")
    scaling: Literal["unit", "centred", "raw"] = Field(
        "unit", description="unit: [0, 1]; centred: unit less the training set's mean image; raw: as stored, 0 to 255"
    )


class ModelSettings(Section):
    """Which network."""

    name: str = Field("report-smallcnn", description="a built-in network, timm:NAME, hf:TYPE or package.module:factory")
    kwargs: Annotated[dict[str, Any], AfterValidator(_plain)] = Field(
        default_factory=dict, description="arguments for the network's builder"
    )


class TrainingSettings(Section):
    """How one member is trained."""

    epochs: int = Field(40, ge=0, description="passes over the training data")
    batch_size: Count = 128
    sampling: Literal["permutation", "replacement"] = Field(
        "permutation",
        description="permutation: each example once an epoch; replacement: floor(examples / batch_size) independent "
        "draws of a batch, as in the paper's notebook",
    )
    optimizer: Literal["adam", "adamw", "sgd", "csgmcmc"] = Field(
        "adam", description="csgmcmc: momentum SGD that adds noise at the end of each cycle (Zhang et al. 2020)"
    )
    learning_rate: float = Field(1.6e-3, gt=0, description="before the schedule's factor")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd; of csgmcmc it is 1 less the friction")
    temperature: float = Field(1.0, ge=0, description="of csgmcmc's noise; 0 for none")
    noise_epochs: Count = Field(5, description="of csgmcmc: the last epochs of each cycle, in which noise is added")
    epsilon: float = Field(1e-8, gt=0, description="of adam and adamw")
    weight_decay: float = Field(0.0, ge=0, description="PyTorch's meaning: added to the gradient as weight_decay * w")
    decayed: Literal["all", "weights"] = Field(
        "all", description="all: every parameter; weights: tensors of two or more dimensions, not biases and norms"
    )
    schedule: (
        Literal["constant", "cosine", "cyclic-cosine", "report", "paper", "keras-resnet", "paper-cifar100"]
        | Annotated[tuple[Annotated[tuple[Epoch, Factor], BeforeValidator(listed)], ...], BeforeValidator(listed)]
    ) = Field("constant", description="a named schedule, or a list of [first 0-based epoch, factor] steps")
    cycles: Count = Field(
        1, description="how often cyclic-cosine starts again; the ends of the cycles make a snapshot ensemble"
    )
    augment: Literal["none", "report", "keras-resnet"] = "none"
    precision: Literal["float32", "tf32", "float64", "bfloat16"] = Field(
        "float32",
        description="float64 for checks; faster on a GPU: tf32 (rounds products), bfloat16 (autocast)",
    )
    threads_per_member: Count = Field(1, description="CPU threads that compute one member; part of its identity")


class EnsembleSettings(Section):
    """How many members, and what makes them differ."""

    members: Count = 10
    seed: Seed = 0
    vary: Annotated[tuple[Varying, ...], BeforeValidator(words), AfterValidator(_in_order)] = Field(
        ("init", "order", "dropout", "augment"), description="what differs between members; the rest is member 0's"
    )


class SnapshotSettings(Section):
    """Which epochs' weights are kept. Predictions are kept for every epoch."""

    epochs: (
        Annotated[str, Field(pattern=r"^(all|last:[1-9][0-9]*)$")]
        | Annotated[tuple[Epoch, ...], BeforeValidator(listed)]
    ) = Field("all", description="all, last:K, or a list of epochs")

    def kept(self, epochs: int) -> frozenset[int]:
        """The epochs out of 0..`epochs` whose weights are written.

        Example:
            >>> sorted(SnapshotSettings(epochs="last:2").kept(5))
            [4, 5]
        """
        if self.epochs == "all":
            return frozenset(range(epochs + 1))
        if isinstance(self.epochs, str):
            last = int(self.epochs.removeprefix("last:"))
            return frozenset(range(max(0, epochs + 1 - last), epochs + 1))
        return frozenset(self.epochs) & frozenset(range(epochs + 1))
