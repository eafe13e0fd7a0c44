"""Which methods make sense for a run, and why the others do not."""

from modescope.analyses.epochs import late_epochs, states, window
from modescope.errors import NotApplicableError
from modescope.store.run import Run
from modescope.subspaces import METHODS
from modescope.subspaces.presets import Constants
from modescope.training.networks import Networks


def suited(run: Run, networks: Networks) -> tuple[dict[str, str], dict[str, str]]:
    """The methods that make sense for this run, with their titles, and those that do not, with the reason.

    Raises:
        NotApplicableError: The recipe names a method that makes no sense for this run.
    """
    named = run.recipe.analyses.subspaces.methods
    fit, left_out = {}, {}
    for name, method in METHODS.items():
        if named != "all" and name not in named:
            continue
        why = _why_not(run, networks, name)
        if why is None:
            fit[name] = method.title
        elif named != "all":
            raise NotApplicableError(why)
        else:
            left_out[name] = why
    return fit, left_out


def none_accepted(method: str, member: int, constants: Constants) -> str:
    """Why a method that draws, and makes sense, gave no network around a member."""
    limit = f"{100 * constants.threshold:.3g} %"
    limit += " of the member's own accuracy" if constants.threshold_relative else " accuracy"
    found = "fewer than two random networks" if method == "random_low_rank" else "no network"
    return f"{method} found {found} around member {member} with {limit} or more (on training data)."


def fewest(method: str) -> int:
    """The fewest networks that a method must give: a single late snapshot is the member itself."""
    return max(METHODS[method].snapshots, 1) if METHODS[method].draw is None else 1


def too_few_states(method: str, found: int) -> str:
    """Why a method that takes states of the run as they are makes no ensemble where their weights are needed."""
    least = fewest(method)
    return (
        f"{method} needs the weights of at least {least} of its epoch{'s' if least > 1 else ''}; with these settings "
        f"(snapshots.epochs, samples) there {'is' if found == 1 else 'are'} {found or 'none'}."
    )


def _why_not(run: Run, networks: Networks, name: str) -> str | None:
    method, settings = METHODS[name], run.recipe.analyses.subspaces
    if name == "snapshot_ensemble":
        cyclic = run.recipe.training.cycles > 1
        return None if cyclic else "snapshot_ensemble needs a run that was trained in cycles (training.cycles)."
    if settings.window < method.snapshots:
        return f"{name} looks at {method.snapshots} or more states; analyses.subspaces.window is {settings.window}."
    if len(late_epochs(run)) < method.snapshots:
        return (
            f"{name} needs at least {method.snapshots} late epochs, those of the second half of training; of "
            f"{run.epochs[-1]} epochs this is {len(late_epochs(run))}."
        )
    if method.draw is None:
        # new batch-norm statistics need the weights; without them the predictions on disk do
        found = [epoch for epoch in states(run, name, settings.window) or [] if epoch in run.snapshot_epochs]
        enough = not networks.has_batch_norm or len(found) >= method.snapshots
        return None if enough else too_few_states(name, len(found))
    if run.epochs[-1] not in run.snapshot_epochs:
        return f"{name} needs the weights of the last epoch, which snapshots.epochs leaves out."
    if len(window(run)) < method.snapshots:
        return f"{name} needs at least {method.snapshots} late snapshots; this run kept {len(window(run))}."
    if method.activations and not networks.has_dropout:
        return f"{name} needs a network with dropout; {run.recipe.model.name} has none."
    return None
