"""Which epochs of a run the methods look at: the late ones, newest first.

Late is the second half of training. What comes before has another purpose: weights that still travel say how far they
went, not how wide the valley is that they ended in.
"""

from collections.abc import Sequence

from modescope.recipe import Recipe
from modescope.store.run import Run
from modescope.subspaces.snapshot_ensemble import snapshot_epochs

OPTIMUM = "optimum"
"""How a member's last state is called where it stands beside methods."""


def late_epochs(run: Run) -> list[int]:
    """The epochs of the second half of training, newest first, as many as `analyses.subspaces.window` says.

    Never the initialisation.
    """
    last = run.epochs[-1]
    return list(range(last, last // 2, -1))[: run.recipe.analyses.subspaces.window]


def window(run: Run) -> tuple[int, ...]:
    """The epochs, oldest first, of the newest late snapshots that were kept: Gaussians are fitted to them."""
    last = run.epochs[-1]
    kept = [epoch for epoch in run.snapshot_epochs if epoch > last // 2]
    return tuple(kept[-run.recipe.analyses.subspaces.window :])


def states(run: Run, method: str, samples: int) -> list[int] | None:
    """The epochs whose states a method takes as they are, newest first, no more than `samples`.

    The first of them is always the last epoch. None if the method draws networks.
    """
    if method == OPTIMUM:
        return [run.epochs[-1]]
    if method == "late_snapshots":
        return late_epochs(run)[:samples]
    if method == "snapshot_ensemble":
        return list(reversed(cycle_epochs(run.recipe, samples)))
    return None


def cycle_epochs(recipe: Recipe, samples: int) -> Sequence[int]:
    """The epochs that a run of several cycles gives to a snapshot ensemble of no more than `samples` networks.

    As many of each cycle, its last ones; of the last cycles only where there are more cycles than samples.
    """
    training = recipe.training
    most = training.noise_epochs if training.optimizer == "csgmcmc" else 1
    of_each = min(most, max(samples // training.cycles, 1))
    return snapshot_epochs(training.epochs, training.cycles, of_each=of_each)[-samples:]
