"""The scores that several charts let the reader choose from: their names, their formats, and which way is better."""

from collections.abc import Sequence
from dataclasses import dataclass

import xarray as xr


@dataclass(frozen=True)
class Score:
    """A score of a Dataset."""

    name: str
    choice: str
    axis: str
    form: str  # a format that Python and plotly.js both read
    ticks: str
    better: int  # 1: higher is better; -1: lower; 0: neither

    @property
    def difference(self) -> tuple[float, str, str, str]:
        """By what to multiply a difference of two, its format, that of its ticks, and its axis; parts are in points."""
        if self.form.endswith("%"):
            return 100.0, "+.2f", "+~g", f"change of {self.choice} (points)"
        return 1.0, "+.4f", "+~g", f"change of {self.choice}"


ACCURACY = Score("accuracy", "accuracy", "accuracy", ".2%", ".1~%", 1)
LOSS = Score("loss", "loss", "loss (nat)", ".4f", "~g", -1)
SCORES = (
    ACCURACY,
    Score("nll", "negative log-likelihood", "negative log-likelihood (nat)", ".4f", "~g", -1),
    Score("brier", "Brier score", "Brier score (0 to 2)", ".4f", "~g", -1),
    Score("ece", "calibration error", "calibration error (ECE)", ".4f", "~g", -1),
    Score("confidence", "confidence", "mean largest probability", ".2%", ".1~%", 0),
    Score("entropy", "entropy", "entropy of the prediction (nat)", ".4f", "~g", 0),
    Score("jensen_shannon", "Jensen-Shannon divergence", "Jensen-Shannon divergence (nat)", ".4f", "~g", 0),
)


def scores_of(dataset: xr.Dataset, form: str = "{}") -> Sequence[Score]:
    """The scores that a Dataset has, its variables being called so."""
    return [score for score in SCORES if form.format(score.name) in dataset]
