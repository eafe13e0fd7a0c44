"""Who trains which members where. Every engine takes the same job and gives, on one machine, the same members."""

from modescope.engines.choice import Choice, choose
from modescope.engines.job import Engine, Job
from modescope.engines.processes import train_in_processes
from modescope.engines.sequential import train_sequentially

__all__ = ["ENGINES", "Choice", "Engine", "Job", "choose"]

ENGINES: dict[str, Engine] = {"sequential": train_sequentially, "processes": train_in_processes}
