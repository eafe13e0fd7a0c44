"""The bench: a run's data and network, to look at networks that the run itself does not hold.

Everything drawn here comes from named streams, so two analyses that ask for the same samples get the same ones.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from modescope import seeds
from modescope.analyses.reading import log_prob
from modescope.data import DataSet, load_data
from modescope.data.tensors import TensorData, TensorSplit
from modescope.errors import NotApplicableError
from modescope.recipe import Recipe
from modescope.store.provenance import check_data
from modescope.store.run import Run
from modescope.store.snapshots import read_snapshot
from modescope.subspaces import METHODS, Around
from modescope.subspaces.presets import PRESETS, Constants
from modescope.subspaces.snapshot_ensemble import snapshot_epochs
from modescope.training.member import initial_network, placed
from modescope.training.networks import Networks, Prepared, enough_for_statistics, joined
from modescope.training.precision import DTYPES, computing, data_for_training

OPTIMUM = "optimum"
"""How a member's last state is called where it stands beside methods."""
INDEPENDENT = "independent"
"""How other members are called where they stand beside methods."""
INDEPENDENT_TITLE = "independent members"


class Bench:
    """A run, its data and its network on one device.

    Args:
        run: A finished run.
        device: Where networks are evaluated.
    """

    def __init__(self, run: Run, device: torch.device) -> None:
        self.run = run
        self.device = device
        self._said: dict[tuple, Float[np.ndarray, "sample example class"]] = {}

    @cached_property
    def source(self) -> DataSet:
        """The run's data, in the source's own numbers.

        Raises:
            RunError: They are not those that it was trained on.
        """
        data = load_data(self.run.recipe.data)
        check_data(self.run, data)
        return data

    @cached_property
    def data(self) -> TensorData:
        """The run's data, on the device."""
        return data_for_training(self.run.recipe, self.source, self.device)

    @cached_property
    def networks(self) -> Networks:
        """The run's architecture."""
        recipe, (first, *_) = self.run.recipe, self.run.snapshot_epochs
        network = initial_network(recipe, 0, self.data.input_shape, self.data.classes)
        network = placed(network, self.device, DTYPES[recipe.training.precision])
        trained = read_snapshot(self.run, 0, first).parameters
        example = self.data.scaling(self.data.test.inputs[:2])
        return Networks(network, trained, recipe.training, self.data.scaling, example)

    @property
    def last(self) -> int:
        """The last epoch."""
        return self.run.epochs[-1]

    @cached_property
    def window(self) -> tuple[int, ...]:
        """The epochs of the last snapshots that were kept, as many as the methods look at; never the initialisation."""
        kept = [epoch for epoch in self.run.snapshot_epochs if epoch > 0]
        return tuple(kept[-self.run.recipe.analyses.subspaces.window :])

    def state(self, member: int, epoch: int) -> Mapping[str, Tensor]:
        """A snapshot's tensors by name, and the buffers that no snapshot holds."""
        return {**self._unsaved(member), **read_snapshot(self.run, member, epoch).state}

    def require_same_rest(self, members: Sequence[int], name: str) -> None:
        """Refuse members between which there is nothing, because more than their trained parameters differs.

        Raises:
            NotApplicableError: Frozen parameters or buffers differ that are no batch-norm statistics.
        """
        first = self.networks.beside(self.state(members[0], self.last))
        for member in members[1:]:
            other = self.networks.beside(self.state(member, self.last))
            differing = [key for key, tensor in first.items() if not torch.equal(tensor, other[key])]
            if differing:
                raise NotApplicableError(
                    f"{name} looks at networks between members, but members {members[0]} and {member} differ in "
                    f"{', '.join(differing[:3])}, which was not trained."
                )

    def _unsaved(self, member: int) -> Mapping[str, Tensor]:
        """The buffers of a member that `state_dict` leaves out, as they were made."""
        if not self.networks.unsaved:
            return {}
        network = initial_network(self.run.recipe, member, self.data.input_shape, self.data.classes)
        network = network.to(DTYPES[self.run.recipe.training.precision])
        return {name: tensor for name, tensor in network.named_buffers() if name in self.networks.unsaved}

    def vectors(self, member: int, epochs: Sequence[int]) -> Float[Tensor, "epoch parameter"]:
        """The trained parameters of one member at those epochs, in float64 on the CPU."""
        return torch.stack([self.networks.vector(self.state(member, epoch)) for epoch in epochs])

    def optimum(self, member: int) -> Float[Tensor, " parameter"]:
        """The trained parameters of one member at the last epoch."""
        return self.vectors(member, [self.last])[0]

    @cached_property
    def _order(self) -> Tensor:
        """A random order of the training data."""
        return torch.randperm(len(self.data.train), generator=self.stream(0, "parts"))

    @cached_property
    def _enough(self) -> tuple[int, float]:
        settings = self.run.recipe.analyses.subspaces
        wanted = settings.statistics_examples
        if wanted != "auto":
            return min(wanted, len(self.data.train)), np.nan
        return enough_for_statistics(
            self.networks, self.optimum(0), self.data.train, self._order, self.state(0, self.last)
        )

    @cached_property
    def statistics(self) -> TensorSplit | None:
        """The training examples from which batch-norm statistics are estimated; None if the network has none."""
        if not self.networks.has_batch_norm:
            return None
        return self.data.train.part(self._order[: self._enough[0]])

    @cached_property
    def facts(self) -> dict[str, object]:
        """What a Dataset says about how drawn networks were made."""
        settings = self.run.recipe.analyses.subspaces
        facts = {"preset": settings.preset, "window": list(self.window), "seed": settings.seed}
        if self.networks.has_batch_norm:
            facts |= {"statistics_examples": self._enough[0], "statistics_change": self._enough[1]}
        return facts

    def stream(self, member: int, purpose: str) -> torch.Generator:
        """A generator for one purpose around one member."""
        return seeds.generator(self.run.recipe.analyses.subspaces.seed, member, f"analyses/{purpose}")

    def constants(self, *, far: bool = False) -> Constants:
        """What the methods draw with."""
        preset = PRESETS[self.run.recipe.analyses.subspaces.preset]
        return preset.far if far else preset.near

    def methods(self) -> tuple[dict[str, str], dict[str, str]]:
        """The methods that make sense for this run, with their titles, and those that do not, with the reason.

        Raises:
            NotApplicableError: The recipe names a method that makes no sense for this run.
        """
        named = self.run.recipe.analyses.subspaces.methods
        fit, left_out = {}, {}
        for name, method in METHODS.items():
            if named != "all" and name not in named:
                continue
            why = self._why_not(name)
            if why is None:
                fit[name] = method.title
            elif named != "all":
                raise NotApplicableError(why)
            else:
                left_out[name] = why
        return fit, left_out

    def none_accepted(self, method: str, member: int) -> str:
        """Why a method that makes sense gave no network."""
        if METHODS[method].draw is None:
            return f"{method} needs the weights of its epochs, of which snapshots.epochs kept none."
        constants = self.constants()
        limit = f"{100 * constants.threshold:.3g} %"
        limit += " of the member's own accuracy" if constants.threshold_relative else " accuracy"
        found = "fewer than two random networks" if method == "random_low_rank" else "no network"
        return f"{method} found {found} around member {member} with {limit} or more (on training data)."

    def draw(
        self, member: int, method: str, samples: int, *, far: bool = False
    ) -> tuple[Float[Tensor, "sample parameter"], list[int] | None]:
        """The networks of a method around a member, and the seeds of their dropout if that is what they differ in.

        A method may give fewer than asked for, and none at all. Methods that draw nothing are not asked here.
        """
        chosen = METHODS[method]
        around = Around(self.optimum(member), self._trajectory(member), lambda drawn: self._accepted(member, drawn))
        name = f"{method}/far" if far else method
        constants = self.constants(far=far)
        with computing(self.run.recipe.training, self.device):
            drawn = chosen.draw(around, self.stream(member, name), samples, constants)
        if not chosen.activations:
            return drawn, None
        settings = self.run.recipe.analyses.subspaces
        return drawn, [seeds.seed(settings.seed, member, f"analyses/{name}", number) for number in range(len(drawn))]

    def evaluate(
        self, member: int, vectors: Float[Tensor, "sample parameter"], split: TensorSplit | None = None
    ) -> Float[np.ndarray, "sample example class"]:
        """What networks near a member say, of the test data if nothing else is given.

        Batch-norm statistics are estimated anew for each.
        """
        return self.ask(self._ready(member, vectors), split)

    def ask(self, networks: Prepared, split: TensorSplit | None = None) -> Float[np.ndarray, "sample example class"]:
        """What networks say, of the test data if nothing else is given; there may be none."""
        asked = self.data.test if split is None else split
        if not len(networks):
            return np.empty((0, len(asked), self.data.classes), np.float32)
        return self.networks.log_prob(networks, asked).numpy()

    def prepared(self, member: int, method: str, samples: int, *, far: bool = False) -> Prepared:
        """The networks of a method around a member, ready to be asked of any data; `optimum` is the member itself."""
        epochs = self.states(method, samples)
        if epochs is not None:
            kept = [epoch for epoch in epochs if epoch in self.run.snapshot_epochs]
            states = [(self.vectors(member, [epoch]), self.state(member, epoch)) for epoch in kept]
            ready = [self.networks.prepared(vectors, statistics=None, others=state) for vectors, state in states]
            return joined(ready) if ready else Prepared(torch.empty(0, self.networks.parameters), {}, None)
        drawn, dropout_seeds = self.draw(member, method, samples, far=far)
        return self._ready(member, drawn, dropout_seeds)

    def _ready(
        self, member: int, vectors: Float[Tensor, "sample parameter"], dropout_seeds: Sequence[int] | None = None
    ) -> Prepared:
        """Networks that differ in dropout alone keep the member's batch-norm statistics."""
        statistics = self.statistics if dropout_seeds is None else None
        others = self.state(member, self.last)
        return self.networks.prepared(vectors, statistics=statistics, others=others, dropout_seeds=dropout_seeds)

    def own(self, member: int, split: TensorSplit) -> Float[np.ndarray, "example class"]:
        """What a member itself says of any data, with its own batch-norm statistics."""
        return self.ask(self.prepared(member, OPTIMUM, 1), split)[0]

    def test_part(self, wanted: int | str, *, most: int | None) -> TensorSplit:
        """A seeded part of the test data: `wanted` examples, `all`, or as `auto` no more than `most`."""
        count = len(self.data.test)
        if wanted == "auto":
            count = count if most is None else min(count, most)
        elif wanted != "all":
            count = min(count, wanted)
        if count == len(self.data.test):
            return self.data.test
        return self.data.test.part(torch.from_numpy(self.test_places(count)))

    def test_places(self, count: int) -> Integer[np.ndarray, " example"]:
        """Where the examples of a part of the test data stand among all of them."""
        if count == len(self.data.test):
            return np.arange(count)
        order = torch.randperm(len(self.data.test), generator=self.stream(0, "test part"))
        return order[:count].sort().values.numpy()

    def train_part(self, wanted: int) -> TensorSplit:
        """A seeded part of the training data."""
        return self.data.train.part(self._order[:wanted])

    def network_of(self, member: int) -> torch.nn.Module:
        """A member's network after the last epoch, on the device."""
        recipe = self.run.recipe
        network = initial_network(recipe, member, self.data.input_shape, self.data.classes)
        network = placed(network, self.device, DTYPES[recipe.training.precision])
        network.load_state_dict(read_snapshot(self.run, member, self.last).state)
        return network

    def said(self, member: int, method: str, samples: int) -> Float[np.ndarray, "sample example class"]:
        """What the samples of a method around a member say of the test data; `optimum` is the member itself.

        States of the run are read, not evaluated again.
        """
        epochs = self.states(method, samples)
        if epochs is not None:
            return log_prob(self.run, [member], epochs)[0]
        key = member, method, samples
        if key not in self._said:
            self._said[key] = self.ask(self.prepared(member, method, samples))
        return self._said[key]

    def states(self, method: str, samples: int) -> Sequence[int] | None:
        """The epochs whose states a method takes as they are, no more than `samples`; None if it draws networks."""
        if method == OPTIMUM:
            return [self.last]
        if method == "late_snapshots":
            count = min(samples, self.run.recipe.analyses.subspaces.window)
            return list(range(max(1, self.last + 1 - count), self.last + 1))
        if method == "snapshot_ensemble":
            return cycle_epochs(self.run.recipe, samples)
        return None

    def _trajectory(self, member: int) -> Float[Tensor, "epoch parameter"]:
        if not self.window:
            return torch.empty((0, self.networks.parameters), dtype=torch.float64)
        return self.vectors(member, self.window)

    def _accepted(self, member: int, drawn: Float[Tensor, "sample parameter"]) -> Tensor:
        """Which samples are accurate enough, on a part of the training data: test labels choose nothing."""
        constants = self.constants()
        part = self.data.train.part(self._order[-self.run.recipe.analyses.subspaces.accept_examples :])
        labels = part.labels.cpu().numpy()
        threshold = constants.threshold
        if constants.threshold_relative:
            threshold *= float((self.own(member, part).argmax(axis=-1) == labels).mean())
        said = self.evaluate(member, drawn, part)
        return torch.from_numpy((said.argmax(-1) == labels).mean(axis=-1) >= threshold)

    def _why_not(self, name: str) -> str | None:
        method = METHODS[name]
        if name == "snapshot_ensemble":
            cyclic = self.run.recipe.training.cycles > 1
            return None if cyclic else "snapshot_ensemble needs a run that was trained in cycles (training.cycles)."
        window = self.run.recipe.analyses.subspaces.window
        if window < method.snapshots:
            return f"{name} looks at {method.snapshots} or more states; analyses.subspaces.window is {window}."
        if method.draw is None:
            enough = self.last >= method.snapshots
            return None if enough else f"{name} needs at least {method.snapshots} epochs of training."
        if self.last not in self.run.snapshot_epochs:
            return f"{name} needs the weights of the last epoch, which snapshots.epochs leaves out."
        if len(self.window) < method.snapshots:
            return f"{name} needs at least {method.snapshots} late snapshots; this run kept {len(self.window)}."
        if method.activations and not self.networks.has_dropout:
            return f"{name} needs a network with dropout; {self.run.recipe.model.name} has none."
        return None


def cycle_epochs(recipe: Recipe, samples: int) -> Sequence[int]:
    """The epochs that a run of several cycles gives to a snapshot ensemble of no more than `samples` networks.

    As many of each cycle, its last ones; of the last cycles only where there are more cycles than samples.
    """
    training = recipe.training
    most = training.noise_epochs if training.optimizer == "csgmcmc" else 1
    of_each = min(most, max(samples // training.cycles, 1))
    return snapshot_epochs(training.epochs, training.cycles, of_each=of_each)[-samples:]


def check_weights(run: Run, name: str) -> None:
    """Refuse a run whose last weights were not kept.

    Raises:
        NotApplicableError: The snapshot of the last epoch is not kept.
    """
    if run.epochs[-1] not in run.snapshot_epochs:
        raise NotApplicableError(
            f"{name} needs the weights of the last epoch, which snapshots.epochs = {run.recipe.snapshots.epochs!r} "
            "leaves out."
        )


def check_members(run: Run, name: str, least: int) -> None:
    """Refuse a run of too few members.

    Raises:
        NotApplicableError: There are fewer members than the analysis compares.
    """
    if len(run.members) < least:
        raise NotApplicableError(f"{name} needs at least {least} members; this run has {len(run.members)}.")
