"""What the answer says of batch norm: whose statistics networks were asked with, and whether those are good enough."""

from collections.abc import Mapping

import xarray as xr


def of_norms(results: Mapping[str, xr.Dataset]) -> list[str]:
    """How the networks beside drawn ones were asked, and a warning if their statistics are not good enough.

    Nothing if there is no batch norm, or no analysis of drawn networks.
    """
    for dataset in results.values():
        if "batch_norm" in dataset.attrs:
            said = (
                "Where networks are drawn, every network's batch-norm statistics are re-estimated on the same "
                f"{dataset.attrs['statistics_examples']} training examples, the members' own included: members' "
                "accuracies there may differ from those on their learning curves."
            )
            warning = dataset.attrs.get("statistics_warning")
            return [said] if warning is None else [said, warning]
    return []
