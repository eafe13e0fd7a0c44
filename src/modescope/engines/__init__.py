"""Who trains which members where. Every engine takes the same job and gives, on one machine, the same members."""

from modescope.engines.choice import ENGINES, Asked, Choice, check_request, choose
from modescope.engines.job import Engine, Job

__all__ = ["ENGINES", "Asked", "Choice", "Engine", "Job", "check_request", "choose"]
