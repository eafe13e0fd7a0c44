"""The command line. PyTorch and the rest are imported by the commands that need them."""

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from modescope.allocator import keep_freed_memory
from modescope.errors import ModescopeError
from modescope.terminal import by_whom, err, out, print_columns, show_answer, show_standing

if TYPE_CHECKING:
    from modescope.recipe import Recipe
    from modescope.store.run import Run
    from modescope.study import Results
    from modescope.tracking.feed import Trackers
    from modescope.types import EpochRecord

app = typer.Typer(
    help="Train deep ensembles, keep every epoch, and see why averaging them works.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A built-in recipe's name, or a TOML file.")]
RunPath = Annotated[str, typer.Argument(metavar="RUN", help="The folder of a run.")]
Output = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="RUN",
        help="The run's folder, or an address as s3://BUCKET/RUN.",
        show_default="runs/RECIPE",
    ),
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting: ensemble.members=5.")
]
EngineName = Annotated[str, typer.Option("--engine", help="Who trains: auto, sequential, processes, stacked or ray.")]
Workers = Annotated[
    int | None, typer.Option("--workers", metavar="N", help="Processes that train side by side.", show_default="auto")
]
BlockSize = Annotated[
    int | None,
    typer.Option("--block-size", metavar="N", help="Members stacked into one program.", show_default="as many as fit"),
]
RayAddress = Annotated[
    str | None,
    typer.Option("--ray-address", metavar="HOST:PORT", help="A Ray cluster's head.", show_default="a local Ray"),
]
Track = Annotated[
    list[str] | None,
    typer.Option("--track", metavar="TRACKER", help="Tell wandb, tensorboard, mlflow or trackio; may be given again."),
]
Width = Annotated[
    str | None,
    typer.Option(
        "--width",
        metavar="VENUE",
        help="Of the figures: neurips, icml:column, ... or 85mm, 3.25in.",
        show_default="7in",
    ),
]
DeviceName = Annotated[str, typer.Option("--device", help="Where: auto, cpu or cuda.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show a traceback with an error.")]


@app.command()
def run(
    recipe: RecipeName = "digits",
    output: Output = None,
    settings: Settings = None,
    engine: EngineName = "auto",
    workers: Workers = None,
    block_size: BlockSize = None,
    ray_address: RayAddress = None,
    device: DeviceName = "auto",
    track: Track = None,
    debug: Debug = False,
) -> None:
    """Train, analyse, draw and report. Given again, it does what is missing."""
    from modescope import study

    asked = {"workers": workers, "block_size": block_size, "ray_address": ray_address, "device": device}
    loaded = _recipe(recipe, settings)
    trackers = _trackers(track, output or f"runs/{loaded.name}")
    made, trained = _train(loaded, output, trackers, engine=engine, **asked)
    results = None if trained else study.saved_results(made)
    if results is None:
        results = _analyze(made, [], device)
        study.report(made, results)
    elif not study.report_is_current(made, results):
        study.report(made, results)
    else:
        out.print("Analyses, figures and page are up to date.")
    trackers.send(made)
    show_answer(made, results)


@app.command()
def train(
    recipe: RecipeName,
    output: Output = None,
    settings: Settings = None,
    engine: EngineName = "auto",
    workers: Workers = None,
    block_size: BlockSize = None,
    ray_address: RayAddress = None,
    device: DeviceName = "auto",
    track: Track = None,
    debug: Debug = False,
) -> None:
    """Train the members only. Given again, it resumes, and makes damaged files anew."""
    asked = {"workers": workers, "block_size": block_size, "ray_address": ray_address, "device": device}
    loaded = _recipe(recipe, settings)
    trackers = _trackers(track, output or f"runs/{loaded.name}")
    found, trained = _train(loaded, output, trackers, engine=engine, **asked)
    if not trained:
        trackers.send(found)


@app.command()
def analyze(
    path: RunPath,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Which analyses.")] = None,
    device: DeviceName = "auto",
    debug: Debug = False,
) -> None:
    """Make all analyses of a run, or the named ones."""
    from modescope.files import place
    from modescope.store.run import open_run

    _analyze(open_run(place(path)), names or [], device)


@app.command()
def report(path: RunPath, width: Width = None, debug: Debug = False) -> None:
    """Draw the figures, as wide as a venue's text or column, and write report.html."""
    from modescope import study
    from modescope.figures.style import WIDTH
    from modescope.figures.venues import width_of
    from modescope.files import place
    from modescope.store.run import open_run

    inches = WIDTH if width is None else width_of(width)
    out.print(f"The page is {study.report(open_run(place(path)), width=inches)}", soft_wrap=True)


@app.command()
def sync(
    path: RunPath,
    track: Annotated[list[str], typer.Option("--track", metavar="TRACKER", help="Which tracker; may be given again.")],
    debug: Debug = False,
) -> None:
    """Send a tracker all of a run that it has not got yet."""
    from modescope.files import place
    from modescope.store.run import open_run

    found = open_run(place(path))
    trackers = _trackers(track, path)
    trackers.send(found)
    trackers.raise_failed()
    out.print(f"{' and '.join(trackers.names)} {'have' if len(trackers.names) > 1 else 'has'} all of {found.path}.")


@app.command()
def compare(
    paths: Annotated[list[str], typer.Argument(metavar="RUN RUN...", help="The folders of runs.")],
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="FOLDER", help="Where the Dataset and its figure go.")
    ] = "runs/compare",
    debug: Debug = False,
) -> None:
    """Compare runs that were tested on the same data: a table, a figure and a page; the others with the first."""
    from modescope import study
    from modescope.files import place
    from modescope.report.answer import comparison
    from modescope.report.versus import versus
    from modescope.store.run import open_run

    compared = study.compare([open_run(place(path)) for path in paths], place(output))
    told = versus(compared.comparison)
    print_columns(told.rows)
    if compared.vary is not None:
        varying = comparison(compared.vary)
        out.print()
        print_columns(varying.rows)
        out.print(f"\n{varying.sentence}")
    for sentence in told.sentences:
        out.print(f"\n{sentence}")
    out.print(f"\nThe page is {compared.page}", soft_wrap=True)


@app.command()
def info(path: RunPath, debug: Debug = False) -> None:
    """Say what is there, what is missing and what is damaged; of a run that is being trained, how far it is."""
    from modescope.analyses import NAMES
    from modescope.files import place
    from modescope.store.epochs import check_member
    from modescope.store.lock import holder_of
    from modescope.store.predictions import check_frame
    from modescope.store.run import open_run

    found = open_run(place(path))
    recipe = found.recipe
    holder = holder_of(found)
    if holder is not None:  # files that are just being made or mended are not looked at
        show_standing(found, holder)
        return
    frame = check_frame(found) if found.predictions.is_dir() else None
    if frame is not None:
        raise frame
    progress = {member: check_member(found, member) for member in found.members}
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_row("recipe", f"{recipe.name} ({recipe.model.name} on {recipe.data.source})")
    for member, state in progress.items():
        whole = len(found.epochs) - len(state.missing)
        done = "finished" if not state.missing else f"{whole} of {len(found.epochs)} states whole"
        table.add_row(f"member {member}", done)
    table.add_row("analyses", ", ".join(name for name in NAMES if found.analysis(name).is_dir()) or "none yet")
    missing = [name for name in NAMES if not found.analysis(name).is_dir()]
    if missing:
        table.add_row("not made", ", ".join(missing))
    table.add_row("page", str(found.report) if found.report.is_file() else "none yet")
    out.print(table)
    damaged = [error for state in progress.values() for error in state.damaged]
    for error in damaged:
        err.print(str(error))
    if damaged:
        raise typer.Exit(1)


@app.command()
def watch(
    path: RunPath,
    every: Annotated[float, typer.Option("--every", metavar="SECONDS", min=0.1, help="Between two looks.")] = 10.0,
    debug: Debug = False,
) -> None:
    """Write report.html anew as epochs arrive, until the run is trained."""
    if hasattr(os, "nice"):
        os.nice(10)  # training comes first
    from modescope import live
    from modescope.files import place
    from modescope.store.run import open_run

    live.watch(open_run(place(path)), every, lambda told: out.print(told, soft_wrap=True))


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Show this recipe's TOML.")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of a recipe.")] = False,
    debug: Debug = False,
) -> None:
    """List the built-in recipes, or print one as TOML to start from."""
    import json

    from modescope import recipe

    if schema:
        typer.echo(json.dumps(recipe.schema(), indent=2))
    elif name is None:
        table = Table(box=None, pad_edge=False)
        for title in ("recipe", "network", "data", "members", "epochs"):
            table.add_column(title)
        for builtin in recipe.builtin_names():
            loaded = recipe.load(builtin)
            numbers = str(loaded.ensemble.members), str(loaded.training.epochs)
            table.add_row(builtin, loaded.model.name, loaded.data.source, *numbers)
        out.print(table)
    else:
        if name not in recipe.builtin_names():
            recipe.load(name)  # says what is wrong with it, or that there is none
        text = recipe.builtin_text(name) if name in recipe.builtin_names() else recipe.load(name).toml()
        typer.echo(text, nl=False)


def main() -> None:
    """Run the command line; errors become one paragraph and an exit code."""
    debug = "--debug" in sys.argv[1:]
    keep_freed_memory()
    try:
        app()
    except SystemExit as ended:  # typer has made one of Ctrl-C, and says nothing
        if ended.code == 130:
            err.print("Stopped. Every finished epoch is on disk; the same command goes on from there.")
        raise
    except ModescopeError as error:
        if debug:
            raise
        err.print(str(error))
        sys.exit(error.exit_code)
    except Exception as error:  # a fault of ours, or of the machine: still one paragraph
        if debug:
            raise
        err.print(f"Unexpected {type(error).__name__}: {error}. --debug shows where it happened.")
        sys.exit(1)


def _recipe(name: str, settings: list[str] | None) -> "Recipe":
    from modescope.recipe import load

    return load(name, settings or [])


def _trackers(names: list[str] | None, path: str) -> "Trackers":
    """The trackers that are told of the run at that place; what stands against them is said before anything begins."""
    from modescope.files import place
    from modescope.tracking import check_trackers
    from modescope.tracking.feed import Trackers

    return Trackers(check_trackers(names or [], place(path)), err.print)


def _train(recipe: "Recipe", output: str | None, trackers: "Trackers", **asked: Any) -> "tuple[Run, bool]":
    """Train what is missing, as `study.plan` is asked to; the run, and whether anything was."""
    from modescope import study
    from modescope.files import place
    from modescope.progress import LiveProgress, PlainProgress

    path = place(output or f"runs/{recipe.name}")
    training = study.plan(recipe, path, **asked)
    found, epochs = training.run, recipe.training.epochs
    for told in (*map(str, training.damaged), *training.warnings):
        err.print(told)
    members = {member: state.finished for member, state in training.job.members.items()}
    if not members:
        out.print(
            f"Nothing to train: all {len(found.members)} members of {found.path} have finished their {epochs} epochs.",
            soft_wrap=True,
        )
        return found, False
    out.print(
        f"Training {len(members)} of {len(found.members)} members of {recipe.model.name} on {recipe.data.source} "
        f"into {found.path} on the {training.job.device.type}, {by_whom(training.choice)}.",
        soft_wrap=True,
    )
    kind = LiveProgress if out.is_terminal else PlainProgress
    lines = kind(out, members, epochs, len(training.job.data.train))
    with trackers.following(found) as follow, lines as show:

        def on_epoch(member: int, record: "EpochRecord") -> None:
            show(member, record)
            follow(member, record)

        study.carry_out(training, on_epoch, lambda told: out.print(told, soft_wrap=True))
    return found, True


def _analyze(found: "Run", names: list[str], device: str) -> "Results":
    from modescope import study

    made: list[str] = []

    def done(name: str, seconds: float) -> None:
        made.append(name)
        out.print(f"Analysed {name} ({seconds:.1f} s).")

    results = study.analyze(found, names, done, device=device)
    there = [name for name in results.datasets if name not in made]
    if there:
        out.print(f"Up to date: {', '.join(there)}.", soft_wrap=True)
    for why in results.methods_left_out:
        out.print(f"Left out: {why}", soft_wrap=True)
    for name, why in results.left_out.items():
        out.print(f"Left out {name}: {why}", soft_wrap=True)
    return results


if __name__ == "__main__":
    main()
