"""Who trains which members where. Every engine takes the same job and gives, on one machine, the same members."""

from modescope.engines.job import Engine, Job
from modescope.engines.sequential import train_sequentially

__all__ = ["ENGINES", "Engine", "Job"]

ENGINES: dict[str, Engine] = {"sequential": train_sequentially}
