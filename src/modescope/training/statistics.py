"""How many training examples batch norm's statistics need, and how much more of them would change.

Looked at are several networks, on examples that none of them was fitted to: a trained network on its training examples
is surer than any drawn one, and would settle far too early.
"""

from functools import cache

from jaxtyping import Float, Int64
from torch import Tensor

from modescope.data.tensors import TensorSplit
from modescope.training.lowering import State
from modescope.training.networks import Networks

LIMIT = 5e-3
"""The part of the examples whose class more training examples may change; classes change both ways, so that accuracies
change by much less."""
_FEWEST = 256


class Statistics:
    """What networks say with the statistics of more and more training examples.

    Args:
        networks: The architecture.
        vectors: Several networks.
        train: Training examples.
        order: A random order of them; the first so many make statistics.
        others: The networks' other tensors.
        looked_at: Examples that the networks were not fitted to; their labels are not looked at.
    """

    def __init__(
        self,
        networks: Networks,
        vectors: Float[Tensor, "network parameter"],
        train: TensorSplit,
        order: Int64[Tensor, " _"],
        others: State,
        looked_at: TensorSplit,
    ) -> None:
        self._networks, self._vectors, self._others = networks, vectors, others
        self._train, self._order, self._looked_at = train, order, looked_at
        self._classes = cache(self._said)

    def change(self, count: int) -> float:
        """The part of the examples whose class would change with more training examples than `count`.

        The most over all networks, and over twice and four times as many (or all that there are; 0 for all of them).
        """
        every = len(self._order)
        before = self._classes(min(count, every))
        more = {min(2 * count, every), min(4 * count, every)}
        return max(float((self._classes(number) != before).double().mean(dim=1).max()) for number in more)

    def enough(self) -> tuple[int, float]:
        """The number of examples from which on two doublings change no more than `LIMIT`, and their `change`."""
        count = min(_FEWEST, len(self._order))
        while (change := self.change(count)) > LIMIT:
            count = min(2 * count, len(self._order))
        return count, change

    def part(self, count: int) -> TensorSplit:
        """The training examples that make statistics of so many."""
        return self._train.part(self._order[:count])

    def _said(self, count: int) -> Tensor:
        ready = self._networks.prepared(self._vectors, statistics=self.part(count), others=self._others)
        return self._networks.log_prob(ready, self._looked_at).argmax(-1)
