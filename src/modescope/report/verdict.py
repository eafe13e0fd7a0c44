"""Should this network be ensembled, and with how many members? In a sentence each, with what is not known."""

import numpy as np
import xarray as xr

from modescope.types import SIZE


def verdict(sizes: xr.Dataset) -> str:
    """Whether averaging is worth it, from `ensemble_size`: the shortest honest answer.

    Only what an interval excludes is called gained or lost.
    """
    members = int(sizes[SIZE][-1])
    if members == 1:
        return "Cannot tell: one member is no ensemble."
    accuracy = _side(sizes, "accuracy", better=1)
    likelihood = _side(sizes, "nll", better=-1)
    if accuracy > 0 and likelihood >= 0:
        return f"Yes: {members} members averaged are better than one."
    if accuracy > 0:
        return "Yes for accuracy, no for the probabilities: their likelihood is worse than one member's."
    if accuracy == 0 and likelihood > 0:
        return "For better probabilities, yes; whether accuracy gains cannot be told with these data."
    if accuracy == 0 and likelihood == 0:
        return "Cannot tell with these data: the intervals include that nothing is gained."
    if accuracy < 0 < likelihood:
        return "For better probabilities, yes; for accuracy, no."
    return "No: averaging gains nothing here."


def how_many(sizes: xr.Dataset) -> str | None:
    """From how many members on another one is not worth its cost, and from how many on it cannot be told to help.

    A member is worth its cost if it adds at least `worth` to the accuracy (a setting; 0.1 points by default). None for
    fewer than three members, which have no course to follow.
    """
    count = int(sizes[SIZE][-1])
    if count < 3:
        return None
    worth = float(sizes.attrs["worth"])
    step, low = (sizes[name].to_numpy()[1:] for name in ("accuracy_step", "accuracy_step_low"))
    told = f"{100 * worth:g} points of accuracy"
    enough = _first_for_good(step < worth)
    unclear = _first_for_good(~(low > 0))
    if enough is None:
        said = f"Each of the {count} members still added {told} or more; a larger ensemble may be worth its cost"
    else:
        size = enough + 1  # the ensemble to which the first unworthy member would be added
        members = f"{size} member{'s' if size > 1 else ''}"
        said = f"From {members} on, another one adds less than {told}, and is not worth its cost"
    if unclear is not None:
        size = unclear + 1
        said += f"; from {size} on these examples cannot show that another one adds anything"
    return f"{said}."


def _first_for_good(holds: np.ndarray) -> int | None:
    """The first place from which it holds to the end; None if it does not hold at the end."""
    others = np.flatnonzero(~holds)
    first = 0 if len(others) == 0 else int(others[-1]) + 1
    return first if first < len(holds) else None


def _side(sizes: xr.Dataset, metric: str, *, better: int) -> int:
    """1 if the interval of the whole ensemble's gain says better, -1 if worse, 0 if it holds nothing gained."""
    last = sizes.isel({SIZE: -1})
    low, high = float(last[f"{metric}_gain_low"]), float(last[f"{metric}_gain_high"])
    return better if low > 0 else -better if high < 0 else 0
