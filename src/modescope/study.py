"""A whole study, step by step: train, analyse, draw, report. Each step can be run alone, again, and after a stop."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import xarray as xr

from modescope import analyses
from modescope.analyses import comparison, shift, vary
from modescope.analyses.current import current, is_current, settings_sha256
from modescope.data import DataSet, load_data
from modescope.data.augment import check_augmentation
from modescope.data.shifted import check_official
from modescope.engines import ENGINES, Asked, Choice, Job, check_request, choose
from modescope.errors import DamagedFileError, DataError, MembersFailedError, NotApplicableError, RequestError, RunError
from modescope.figures import caption, draw
from modescope.figures.methods import listed
from modescope.figures.style import SUFFIXES, WIDTH, encode, width_in
from modescope.files import modified, write_bytes, write_text
from modescope.recipe import Recipe, differences
from modescope.report.answer import comparison as compared
from modescope.report.page import page
from modescope.report.versus import compare_page
from modescope.store.epochs import check_member
from modescope.store.lock import locked
from modescope.store.partial import forget_partial
from modescope.store.predictions import prepare_predictions
from modescope.store.provenance import add_seconds, check_data, record_data, record_making
from modescope.store.results import read_left_out, read_result, write_dataset, write_left_out, write_result, written_at
from modescope.store.run import Run, run_at, start_run
from modescope.training.check import check_trainable
from modescope.training.member import initial_network
from modescope.training.memory import training_bytes
from modescope.types import EpochRecord, OnEpoch, Place

_COUNTED_SECONDS = 10.0  # a command that is killed forgets no more than this of the time it took


@dataclass(frozen=True)
class Plan:
    """What a training has to do, found out before it begins."""

    job: Job
    choice: Choice
    damaged: tuple[DamagedFileError, ...]
    warnings: tuple[str, ...]

    @property
    def run(self) -> Run:
        """The run that is trained."""
        return self.job.run


@dataclass(frozen=True)
class Results:
    """The Datasets of a run, and the analyses that make no sense for it, with the reason."""

    datasets: Mapping[str, xr.Dataset]
    left_out: Mapping[str, str]

    @property
    def methods_left_out(self) -> tuple[str, ...]:
        """Why some methods are missing in these Datasets, each reason once."""
        attributes = [listed(dataset.attrs.get("left_out", [])) for dataset in self.datasets.values()]
        return tuple(dict.fromkeys(str(why) for reasons in attributes for why in reasons))


def plan(
    recipe: Recipe,
    path: Place,
    *,
    engine: str = "auto",
    device: str = "auto",
    workers: int | None = None,
    block_size: int | None = None,
    ray_address: str | None = None,
) -> Plan:
    """Load the data, make or open the run, and find out what is missing of it. Trains nothing.

    Args:
        recipe: What to train.
        path: The run's folder.
        engine: `auto` or one of `ENGINES`.
        device: `auto`, `cpu` or `cuda`.
        workers: Processes, or tasks of Ray, that train side by side; None for as many as suit the machine.
        block_size: The most members that are stacked into one program; None for as many as fit.
        ray_address: HOST:PORT of a Ray cluster's head; None for a local Ray.

    Returns:
        What `carry_out` will do.

    Raises:
        RequestError: The recipe, the data, the network or the folder do not fit, or another command trains the run;
            nothing was written.
        DiskFullError: There is no room for the run.
    """
    asked = Asked(engine, device, workers, block_size, ray_address)
    check_request(asked)
    place = _device(device, elsewhere=engine == "ray")
    data = load_data(recipe.data)
    check_augmentation(recipe.training.augment, data)
    check_trainable(recipe, data)
    first = initial_network(recipe, 0, data.input_shape, len(data.class_names))
    run = run_at(path, recipe)
    with locked(run):
        check_data(run, data)
        start_run(run)
        record_data(run, data)
        mended = prepare_predictions(run, data.test.labels, data.class_names)
        progress = {member: check_member(run, member) for member in run.members}
        missing = {member: found for member, found in progress.items() if found.missing}
        choice = choose(
            asked,
            device=place,
            members=len(missing),
            threads=recipe.training.threads_per_member,
            member_bytes=training_bytes(first, data.network_shape, recipe.training.batch_size),
        )
        if missing:
            record_making(run, engine=choice.engine, workers=choice.workers, device=place)
    return Plan(
        job=Job(run, data, place, missing, choice.workers, asked.block_size, asked.ray_address),
        choice=choice,
        damaged=(*filter(None, [mended]), *(error for found in progress.values() for error in found.damaged)),
        warnings=(*_shared_initialisation(recipe, data, first), *_without_shifted_data(run, data)),
    )


def carry_out(training: Plan, on_epoch: OnEpoch, tell: Callable[[str], None] = lambda told: None) -> None:
    """Train what is missing.

    Args:
        training: From `plan`.
        on_epoch: Called with each epoch that was put on disk.
        tell: Called with what a person may want to know of how it is done.

    Raises:
        RunError: Another command trains the run.
        MembersFailedError: Some members could not be trained.
        DiskFullError: There is no room for what is trained.
    """
    if not training.job.members:
        return
    counted = time.perf_counter()

    def count() -> None:
        nonlocal counted
        now = time.perf_counter()
        add_seconds(training.run, "train", now - counted)
        counted = now

    def recorded(member: int, record: EpochRecord) -> None:
        on_epoch(member, record)
        if time.perf_counter() - counted > _COUNTED_SECONDS:
            count()

    with locked(training.run):
        try:
            failures = ENGINES[training.choice.engine](replace(training.job, tell=tell), recorded)
        finally:
            count()
    if failures:
        raise MembersFailedError(failures) from next(iter(failures.values()))  # --debug shows where


def analyze(
    run: Run,
    names: Sequence[str] = (),
    on_done: Callable[[str, float], None] | None = None,
    *,
    device: str = "auto",
) -> Results:
    """Make the named analyses, or all that make sense for the run and are not there yet, and save their Datasets.

    Args:
        run: A finished run.
        names: Which; all if empty.
        on_done: Called with each analysis and the seconds it took.
        device: `auto`, `cpu` or `cuda`: where networks that the run does not hold are evaluated.

    Returns:
        The Datasets, and what was left out.

    Raises:
        RequestError: A name is unknown, a named analysis makes no sense for this run, or the run is not finished.
        DamagedFileError: A file that is needed is damaged.
        DiskFullError: There is no room for a Dataset.
    """
    datasets: dict[str, xr.Dataset] = {}
    left_out: dict[str, str] = {}
    bench = analyses.Bench(run, _device(device))
    for name in analyses.chosen(names):
        started = time.perf_counter()
        there = None if names else current(run, name)
        if there is not None:
            datasets[name] = there
            continue
        try:
            datasets[name] = analyses.analyze(run, name, bench).assign_attrs(settings_sha256=settings_sha256(run, name))
        except (NotApplicableError, DataError) as error:  # what one analysis lacks is no reason to lose the others
            if names:
                raise
            left_out[name] = str(error)
            continue
        write_result(run, name, datasets[name])
        forget_partial(run, name)
        seconds = time.perf_counter() - started
        add_seconds(run, "analyze", seconds)
        if on_done is not None:
            on_done(name, seconds)
    before = read_left_out(run)
    known = {name: why for name, why in before.items() if name not in datasets} if names else left_out
    if not names or known != before:
        write_left_out(run, known)
    return Results(datasets, left_out)


def saved_results(run: Run) -> Results | None:
    """The Datasets on disk, if all that make sense for the run are there and of its present recipe; else None."""
    datasets: dict[str, xr.Dataset] = {}
    left_out: dict[str, str] = {}
    known = read_left_out(run)
    for name in analyses.NAMES:
        there = current(run, name)
        if there is not None:
            datasets[name] = there
            continue
        why = analyses.why_not(run, name) or known.get(name)
        if why is None:
            return None
        left_out[name] = why
    return Results(datasets, left_out)


def report_is_current(run: Run, results: Results, *, width: float = WIDTH) -> bool:
    """Whether the page and all figures are there, as wide as that, and younger than the Datasets that they show."""
    made = [run.report, *(run.figure(name, suffix) for name in results.datasets for suffix in SUFFIXES)]
    if not all(file.is_file() for file in made):
        return False
    if not all(_as_wide(run.figure(name, "png"), width) for name in results.datasets):
        return False
    newest = max(written_at(run, name) for name in results.datasets)
    return min(modified(file) for file in made) >= newest


def _as_wide(figure: Place, width: float) -> bool:
    with figure.open("rb") as file:
        return abs(width_in(file.read(24)) - width) < 0.01  # inches; a figure has whole pixels


def report(run: Run, results: Results | None = None, *, width: float = WIDTH) -> Place:
    """Draw the figures of all analyses that are there and write the page.

    Args:
        run: The run.
        results: Its Datasets; read from disk if None.
        width: Of the files in `figures`, in inches. What stands on the page has its own width.

    Returns:
        The page's path.

    Raises:
        RunError: No analysis has been made yet.
        DiskFullError: There is no room for a figure or the page.
    """
    results = results or _whatever_is_there(run)
    started = time.perf_counter()
    stills: dict[str, bytes] = {}
    for name, dataset in results.datasets.items():
        files = _drawn(name, dataset, width)
        for suffix, content in files.items():
            write_bytes(run.figure(name, suffix), content)
        stills[name] = files["png"] if width == WIDTH else encode(draw(name, dataset), "png")
    add_seconds(run, "report", time.perf_counter() - started)
    write_text(run.report, page(run, results.datasets, results.left_out, stills))
    return run.report


def _drawn(name: str, dataset: xr.Dataset, width: float = WIDTH) -> dict[str, bytes]:
    """The files of a figure by suffix."""
    figure = draw(name, dataset, width=width)
    return {suffix: encode(figure, suffix) for suffix in SUFFIXES}


def _whatever_is_there(run: Run) -> Results:
    found = {name: read_result(run, name) for name in analyses.NAMES if run.analysis(name).is_dir()}
    if not found:
        raise RunError(f"{run.path} has no analyses to draw. `modescope analyze {run.path}` makes them.")
    datasets = {name: dataset for name, dataset in found.items() if is_current(run, name, dataset)}
    left_out = {name: why for name, why in read_left_out(run).items() if name not in datasets}
    stale = [name for name in found if name not in datasets and name not in left_out]
    if stale:
        raise RunError(
            f"Of {run.path}, {', '.join(stale)} were made with other settings or another version. "
            f"`modescope analyze {run.path} {' '.join(stale)}` makes that anew."
        )
    return Results(datasets, left_out)


@dataclass(frozen=True)
class Compared:
    """What comparing runs found."""

    comparison: xr.Dataset
    vary: xr.Dataset | None  # where they differ in what varies between members, and in nothing else
    page: Place


def compare(runs: Sequence[Run], output: Place) -> Compared:
    """Compare runs that were tested on the same examples; save Datasets, figures and a page.

    Args:
        runs: At least two finished runs; the others are compared with the first.
        output: A folder, which is made if it is not there.

    Returns:
        What was found.

    Raises:
        RequestError: They cannot be compared.
        DiskFullError: There is no room for it.
    """
    found = {"comparison": comparison.analyze(runs)}
    more: list[str] = []
    try:
        found["vary"] = vary.analyze(runs)
    except NotApplicableError:  # they differ in something else
        pass
    else:
        more.append(compared(found["vary"]).sentence)
    output.mkdir(parents=True, exist_ok=True)
    svgs: dict[str, bytes] = {}
    for name, dataset in found.items():
        write_dataset(output / f"{name}.zarr", dataset)
        files = _drawn(name, dataset)
        for suffix, content in files.items():
            write_bytes(output / f"{name}.{suffix}", content)
        svgs[name] = files["svg"]
    captions = {name: caption(name) for name in found}
    html = compare_page(found["comparison"], svgs, captions, _differing(runs), more)
    write_text(output / "compare.html", html)
    return Compared(found["comparison"], found.get("vary"), output / "compare.html")


def _differing(runs: Sequence[Run]) -> list[tuple[str, ...]]:
    """The settings in which runs differ, a row each: the key, and the value of each run."""
    flat = [run.recipe.flat_values() for run in runs]
    keys = {key: None for run in runs[1:] for key in differences(runs[0].recipe, run.recipe)}
    return [(key, *(str(values.get(key, "")) for values in flat)) for key in keys]


def _device(name: str, *, elsewhere: bool = False) -> torch.device:
    """The device of that name; `elsewhere` if it need not be one of this machine."""
    if name not in ("auto", "cpu", "cuda"):
        raise RequestError(f"There is no device {name!r}. There are auto, cpu and cuda.")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available() and not elsewhere:
        raise RequestError("--device cuda was asked for, but PyTorch finds no CUDA device here. Use --device cpu.")
    return torch.device(name)


def _without_shifted_data(run: Run, data: DataSet) -> tuple[str, ...]:
    """A warning, before anything is trained, if the shifted data that the recipe names are not to be had."""
    settings = run.recipe.analyses.shift
    try:
        shift.check(run)
        check_official(settings.source, settings.corruptions, data)
    except NotApplicableError:
        return ()
    except DataError as error:
        return (f"{error} The analysis shift will be left out; `modescope analyze {run.path} shift` makes it later.",)
    return ()


def _shared_initialisation(recipe: Recipe, data: DataSet, first: torch.nn.Module) -> tuple[str, ...]:
    """A warning if two members that should differ begin with the same random weights."""
    if recipe.ensemble.members < 2 or "init" not in recipe.ensemble.vary:
        return ()
    second = initial_network(recipe, 1, data.input_shape, len(data.class_names)).state_dict()
    same = [
        name
        for name, tensor in first.named_parameters()
        if tensor.numel() > 1 and tensor.min() < tensor.max() and torch.equal(tensor, second[name])
    ]
    if not same:
        return ()
    return (
        f"Members 0 and 1 begin with the same {', '.join(same[:3])}{' and others' if len(same) > 3 else ''}: the "
        "network sets its own random seed, or loads weights, so its members are less different than they seem.",
    )
