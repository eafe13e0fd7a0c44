"""Batch-norm statistics of a bench: from which training examples, whether those are enough, and how it is told."""

from dataclasses import dataclass

from modescope.data.tensors import TensorSplit
from modescope.training.statistics import LIMIT, Statistics

LOOKED_AT = 1000
"""Test examples on which it is seen whether statistics are good enough; their labels choose nothing."""
SEVERAL = "dropout", "diagonal_gaussian", "low_rank_gaussian", "swag", "weight_average"
"""Methods of which one network is looked at; those that accept networks by what they say need statistics first."""


@dataclass(frozen=True)
class Norms:
    """The statistics that all networks of a bench get, the run's own states included.

    A method whose networks alone had better statistics than the states beside them would seem to gain something.
    """

    examples: TensorSplit
    change: float  # the part of the looked-at examples whose class more examples would change

    @property
    def facts(self) -> dict[str, object]:
        """What a Dataset says about them."""
        count = len(self.examples)
        facts: dict[str, object] = {
            "statistics_examples": count,
            "statistics_change": self.change,
            "batch_norm": (
                f"statistics re-estimated on the same {count} training examples for every network, the members' own "
                "states included"
            ),
        }
        if self.change > LIMIT:
            facts["statistics_warning"] = (
                f"Batch-norm statistics of {count} training examples are too few: more of them would change the class "
                f"of up to {100 * self.change:.1f} % of the test examples. "
                "Set analyses.subspaces.statistics_examples=auto, or more."
            )
        return facts


def norms(found: Statistics, wanted: int | str) -> Norms:
    """So many training examples, or as `auto` enough of them; whether they are enough is measured all the same."""
    count, change = found.enough() if wanted == "auto" else (wanted, found.change(wanted))
    return Norms(found.part(count), change)
