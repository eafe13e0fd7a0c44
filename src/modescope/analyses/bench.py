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
from modescope.analyses import epochs
from modescope.analyses.epochs import OPTIMUM
from modescope.analyses.norms import LOOKED_AT, SEVERAL, Norms, norms
from modescope.analyses.reading import log_prob
from modescope.analyses.suited import none_accepted, suited, too_few_states
from modescope.data import DataSet, load_data
from modescope.data.tensors import TensorData, TensorSplit
from modescope.errors import NotApplicableError
from modescope.store.provenance import check_data
from modescope.store.run import Run
from modescope.store.snapshots import read_snapshot
from modescope.subspaces import METHODS, Around
from modescope.subspaces.presets import PRESETS, Constants
from modescope.training.member import initial_network, placed
from modescope.training.networks import Networks, Prepared, joined
from modescope.training.precision import DTYPES, computing, data_for_training
from modescope.training.statistics import Statistics

__all__ = ["INDEPENDENT", "INDEPENDENT_TITLE", "OPTIMUM", "Bench", "check_members", "check_weights"]

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
        """The epochs of the late snapshots that Gaussians are fitted to, oldest first."""
        return epochs.window(self.run)

    def state(self, member: int, epoch: int) -> Mapping[str, Tensor]:
        """A snapshot's tensors by name, and the buffers that no snapshot holds."""
        return {**self._unsaved(member), **read_snapshot(self.run, member, epoch).state}

    def require_same_rest(self, members: Sequence[int], name: str) -> None:
        """Refuse members between which there is nothing, because more than their trained parameters differs.

        Raises:
            NotApplicableError: Frozen parameters or buffers differ that are no batch-norm statistics.
        """
        for member in members[1:]:
            differing = self._differing(members[0], member)
            if differing:
                raise NotApplicableError(
                    f"{name} looks at networks between members, but members {members[0]} and {member} differ in "
                    f"{', '.join(differing[:3])}, which was not trained."
                )

    def _differing(self, member: int, other: int) -> list[str]:
        """What differs between two members beside trained parameters and batch-norm statistics."""
        one, two = (self.networks.beside(self.state(each, self.last)) for each in (member, other))
        return [key for key, tensor in one.items() if not torch.equal(tensor, two[key])]

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
    def _norms(self) -> Norms | None:
        if not self.networks.has_batch_norm:
            return None
        looked_at = self.test_part(LOOKED_AT, most=None)
        found = Statistics(
            self.networks, self._several(), self.data.train, self._order, self.state(0, self.last), looked_at
        )
        return norms(found, self.run.recipe.analyses.subspaces.statistics_examples)

    def _several(self) -> Float[Tensor, "network parameter"]:
        """A solution, a few networks around it, and one halfway to another solution: their statistics differ."""
        methods = [name for name in SEVERAL if len(self.window) >= METHODS[name].snapshots]
        vectors = [self.optimum(0)[None], *(self.draw(0, name, 1)[0] for name in methods)]
        if len(self.run.members) > 1 and not self._differing(0, 1):
            vectors.append((self.optimum(0) + self.optimum(1))[None] / 2)
        return torch.cat(vectors)

    @property
    def statistics(self) -> TensorSplit | None:
        """The training examples from which batch-norm statistics are estimated; None if the network has none."""
        return None if self._norms is None else self._norms.examples

    @property
    def facts(self) -> dict[str, object]:
        """What a Dataset says about how networks were made and asked."""
        settings = self.run.recipe.analyses.subspaces
        facts = {"preset": settings.preset, "window": list(self.window), "seed": settings.seed}
        return facts | (self._norms.facts if self._norms is not None else {})

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
        return suited(self.run, self.networks)

    def too_few(self, method: str, member: int, found: int) -> str:
        """Why a method that makes sense gave too few networks."""
        if METHODS[method].draw is None:
            return too_few_states(method, found)
        return none_accepted(method, member, self.constants())

    def rank(self, method: str, samples: int) -> float:
        """The directions that a method's Gaussian really has, around the member with the fewest; NaN for others."""
        chosen = METHODS.get(method)
        if chosen is None or chosen.rank is None:
            return np.nan
        fitted = len(self.window)
        if not chosen.snapshots:
            fitted = min(len(self.said(member, "random", samples)) for member in self.run.members)
        return float(chosen.rank(fitted, self.constants()))

    def draw(
        self, member: int, method: str, samples: int, *, far: bool = False
    ) -> tuple[Float[Tensor, "sample parameter"], list[int] | None]:
        """The networks of a method around a member, and the seeds of their dropout if that is what they differ in.

        A method may give fewer than asked for, and none at all. Methods that draw nothing are not asked here.
        """
        chosen = METHODS[method]
        around = Around(
            self.optimum(member),
            self._trajectory(member),
            accept=lambda drawn: self._accepted(member, drawn),
            random=lambda count: self.draw(member, "random", count)[0],
        )
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
        states = self.states(method, samples)
        if states is not None:
            return self._of_states(member, [epoch for epoch in states if epoch in self.run.snapshot_epochs])
        return self._ready(member, *self.draw(member, method, samples, far=far))

    def _of_states(self, member: int, states: Sequence[int]) -> Prepared:
        """Kept states of a member, with batch-norm statistics like those of the networks beside them."""
        ready = [
            self.networks.prepared(
                self.vectors(member, [epoch]), statistics=self.statistics, others=self.state(member, epoch)
            )
            for epoch in states
        ]
        return joined(ready) if ready else Prepared(torch.empty(0, self.networks.parameters), {}, None)

    def _ready(
        self, member: int, vectors: Float[Tensor, "sample parameter"], dropout_seeds: Sequence[int] | None = None
    ) -> Prepared:
        others = self.state(member, self.last)
        return self.networks.prepared(vectors, statistics=self.statistics, others=others, dropout_seeds=dropout_seeds)

    def own(self, member: int, split: TensorSplit) -> Float[np.ndarray, "example class"]:
        """What a member itself says of any data."""
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
        """What the samples of a method around a member say of the test data; `optimum` is the member itself."""
        key = member, method, samples
        if key not in self._said:
            states = self.states(method, samples)
            if states is not None:
                self._said[key] = self.states_said(member, states)
            else:
                self._said[key] = self.ask(self.prepared(member, method, samples))
        return self._said[key]

    def states_said(self, member: int, states: Sequence[int]) -> Float[np.ndarray, "epoch example class"]:
        """What a member's states say of the test data: as the run has it, or with batch-norm statistics made anew.

        Their weights are needed only where there is batch norm.
        """
        if self.networks.has_batch_norm:
            return self.ask(self._of_states(member, states))
        if not states:
            return np.empty((0, len(self.data.test), self.data.classes), np.float32)
        return log_prob(self.run, [member], states)[0]

    def states(self, method: str, samples: int) -> list[int] | None:
        """The epochs whose states a method takes as they are, newest first; None if it draws networks.

        No more than `samples`. Those whose weights were not kept are missing if there is batch norm.
        """
        states = epochs.states(self.run, method, samples)
        if states is None or not self.networks.has_batch_norm:
            return states
        return [epoch for epoch in states if epoch in self.run.snapshot_epochs]

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
