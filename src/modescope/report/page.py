"""`report.html`: one file, no network, the answer first, then every figure with how to read it."""

import base64
import json
from collections.abc import Mapping
from importlib import resources

import jinja2
import xarray as xr

from modescope.analyses import NAMES
from modescope.figures import caption
from modescope.report.answer import answer
from modescope.store.provenance import read_provenance
from modescope.store.run import Run


def page(run: Run, results: Mapping[str, xr.Dataset], left_out: Mapping[str, str], svgs: Mapping[str, bytes]) -> str:
    """The page of a run.

    Args:
        run: The run.
        results: The Datasets of its analyses.
        left_out: Analyses that make no sense for it -> why.
        svgs: The figure of each analysis.

    Returns:
        HTML; every name that comes from data, recipe or machine is escaped.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string((resources.files("modescope") / "report" / "page.html").read_text("utf-8"))
    sections = [
        {
            "name": name,
            "question": results[name].attrs["question"],
            "reference": results[name].attrs["reference"],
            "caption": caption(name),
            "svg": base64.b64encode(svgs[name]).decode(),
        }
        for name in NAMES
        if name in results
    ]
    return template.render(
        recipe=run.recipe,
        answer=answer(results),
        sections=sections,
        left_out=left_out,
        toml=run.recipe.toml(),
        provenance=json.dumps(read_provenance(run), indent=2),
        facts=_facts(run),
    )


def _facts(run: Run) -> dict[str, str]:
    recorded = read_provenance(run)
    data = recorded.get("data", {})
    return {
        "network": run.recipe.model.name,
        "data": f"{run.recipe.data.source}: {data.get('train_examples', '?')} training and "
        f"{data.get('test_examples', '?')} test examples, {data.get('classes', '?')} classes",
        "members": f"{len(run.members)} members, {run.recipe.training.epochs} epochs each",
        "differ in": ", ".join(run.recipe.ensemble.vary) or "nothing",
        "trained by": f"the {recorded.get('engine', '?')} engine on {recorded.get('device', '?')}",
    }
