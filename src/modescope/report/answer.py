"""The answer in plain words: what the ensemble gains, and how different its members are."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from modescope.figures.methods import listed
from modescope.report.norms import of_norms
from modescope.types import INTENSITY, KIND, MEMBER, MEMBER_OTHER, METHOD, RUN, SIZE, T


@dataclass(frozen=True)
class Finding:
    """One line of the answer."""

    what: str
    value: str
    interval: str  # `low to high`; empty where there is none
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """What comparing runs found: a table, a column for each run, and a sentence."""

    rows: tuple[tuple[str, ...], ...]
    sentence: str


@dataclass(frozen=True)
class Answer:
    """What a run found, as sentences and as a table."""

    sentences: tuple[str, ...]
    findings: tuple[Finding, ...]


def answer(results: Mapping[str, xr.Dataset]) -> Answer:
    """The answer that these analyses give; what was not analysed is not spoken of."""
    sentences: list[str] = []
    findings: list[Finding] = []
    if "ensemble_size" in results:
        _gain(results["ensemble_size"], sentences, findings)
    if "similarity_members" in results:
        _differences(results, sentences, findings)
    elif "late_disagreement" in results.get("similarity_snapshots", {}):
        findings.append(_late(results["similarity_snapshots"]))
    if "mean_rank_correlation_members" in results.get("hardness", {}):
        _hard(results["hardness"], sentences, findings)
    if "subspaces" in results:
        _substitutes(results["subspaces"], sentences, findings)
    if "diversity_plane" in results:
        _diversity(results["diversity_plane"], findings)
    if "connectors" in results:
        _path(results["connectors"], sentences, findings)
    if "shift" in results:
        _shifted(results["shift"], findings)
    sentences += of_norms(results)
    return Answer(tuple(sentences), tuple(findings))


def _gain(sizes: xr.Dataset, sentences: list[str], findings: list[Finding]) -> None:
    members = int(sizes[SIZE][-1])
    one, all_of_them = sizes.isel({SIZE: 0}), sizes.isel({SIZE: -1})
    confidence = f"{100 * sizes.attrs['confidence']:g} %"
    findings.append(Finding("accuracy of one member", *_percent(one, "accuracy"), f"mean of {members}"))
    if members == 1:
        sentences.append("One member is no ensemble: train more to see what averaging would gain.")
        return
    findings.append(Finding(f"accuracy of {members} averaged", *_percent(all_of_them, "accuracy")))
    value, interval = _percent(all_of_them, "accuracy_gain", sign=True, unit="points")
    findings.append(Finding("gain in accuracy", value, interval, "paired"))
    for metric, name in (("nll", "NLL (nat)"), ("brier", "Brier score"), ("ece", "calibration error (ECE)")):
        text = f"{float(one[metric]):.3f} -> {float(all_of_them[metric]):.3f}"
        ends = f"{float(all_of_them[metric + '_gain_low']):+.3f} to {float(all_of_them[metric + '_gain_high']):+.3f}"
        findings.append(Finding(name, text, ends, "of the change"))
    low, high = float(all_of_them["accuracy_gain_low"]), float(all_of_them["accuracy_gain_high"])
    told = f"({confidence} interval {interval})"
    if low > 0:
        said = f"Averaging all {members} members is more accurate than one of them by {value} {told}."
    elif high < 0:
        said = f"Averaging all {members} members is less accurate than one of them, by {value} {told}."
    else:
        said = (
            f"These test examples cannot tell whether averaging all {members} members is more accurate than one of "
            f"them: the difference is {value} {told}."
        )
    sentences.append(said)
    if float(all_of_them["ece_gain_low"]) > 0 > float(all_of_them["nll_gain_high"]):
        said = (
            "Its probabilities have a better likelihood, but are less well calibrated than one member's (ECE "
            f"{float(all_of_them['ece']):.3f} against {float(one['ece']):.3f})"
        )
        sure, right = float(all_of_them["confidence"]), float(all_of_them["accuracy"])
        if sure < right:
            said += f": averaging leaves them less sure ({100 * sure:.1f} %) than they are right ({100 * right:.1f} %)"
        sentences.append(said + ".")


def _differences(results: Mapping[str, xr.Dataset], sentences: list[str], findings: list[Finding]) -> None:
    pairs = results["similarity_members"]
    value, interval = _percent(pairs, "mean_disagreement")
    ratio = float(pairs["disagreement_over_error"])
    note = f"{ratio:.2f} of the error" if ratio == ratio else ""
    findings.append(Finding("disagreement of two members", value, interval, note))
    told = f"Two members give different classes to {value} of the test examples"
    snapshots = results.get("similarity_snapshots", {})
    if "late_disagreement" in snapshots:
        late = _late(snapshots)
        findings.append(late)
        apart, together = float(pairs["mean_disagreement"]), float(snapshots["late_disagreement"])
        # both intervals: neither other test examples nor other training runs may turn it round
        clear = all(
            not float(pairs[f"mean_disagreement{over}_low"]) <= float(snapshots[f"late_disagreement{over}_high"])
            for over in ("", "_members")
        )
        if clear and together > 0:
            told += f", about {apart / together:.2g} times as many as two late snapshots of one member ({late.value}): "
            told += "members are different functions, snapshots of one run are variations of one"
        else:
            told += f"; two late snapshots of one member, to {late.value}"
    sentences.append(told + ".")
    if "cosine_similarity" in pairs:
        cosine = pairs["cosine_similarity"]
        others = cosine.where(cosine[MEMBER] != cosine[MEMBER_OTHER])
        mean, low, high = (float(pairs[f"mean_cosine_similarity{end}"]) for end in ("", "_low", "_high"))
        interval = f"{low:.3f} to {high:.3f}" if low == low else ""  # two members make one pair: no interval
        note = f"pairs {float(others.min()):.3f} to {float(others.max()):.3f}"
        findings.append(Finding("cosine of two members", f"{mean:.3f}", interval, note))


def _late(snapshots: xr.Dataset) -> Finding:
    first, last = snapshots.attrs["late_epochs"]
    note = f"epochs {first} to {last}"
    return Finding("disagreement of snapshots", *_percent(snapshots, "late_disagreement"), note)


def _hard(hardness: xr.Dataset, sentences: list[str], findings: list[Finding]) -> None:
    name = "mean_rank_correlation_members"
    low, high = float(hardness[name + "_low"]), float(hardness[name + "_high"])
    value = f"{float(hardness[name]):.2f}"
    findings.append(Finding("rank correlation of losses", value, f"{low:.2f} to {high:.2f}", "0 by chance"))
    name, hardest = "mean_hardest_overlap_members", f"hardest {100 * hardness.attrs['fraction']:g} %"
    chance = f"{100 * float(hardness['hardest_overlap_chance']):.1f} %"
    value, interval = _percent(hardness, name)
    findings.append(Finding(f"shared {hardest}", value, interval, f"{chance} by chance"))
    said = f"Of one member's {hardest} of the test examples, another member's {hardest} hold {value}"
    if "mean_hardest_overlap_epochs" in hardness:
        among, interval = _percent(hardness, "mean_hardest_overlap_epochs")
        findings.append(Finding("shared between epochs", among, interval, "one member"))
        said += f", and those of another epoch of the same member {among}"
    sentences.append(f"{said}; chance would give {chance}.")


def comparison(dataset: xr.Dataset) -> Comparison:
    """The table and the sentence of runs that were compared."""
    columns = []
    for number, name in enumerate(dataset[RUN].to_numpy()):
        run = dataset.isel({RUN: number})
        apart, ends = _percent(run, "disagreement")
        gain, gain_ends = _percent(run, "accuracy_gain", sign=True, unit="points")
        columns.append((
            str(name),
            f"{apart}\n{ends}",
            f"{float(run['disagreement_over_error']):.2f}",
            f"{float(run['cosine_similarity']):.3f}",
            f"{100 * float(run['accuracy_one']):.1f} %",
            f"{100 * float(run['accuracy_all']):.1f} %",
            f"{gain}\n{gain_ends.removesuffix(' points')}",
        ))
    names = (
        "what varies",
        "disagreement of two members",
        "the same over their error",
        "cosine of their weights",
        "accuracy of one member",
        f"accuracy of {dataset.attrs['members']} averaged",
        "gain in accuracy",
    )
    rows = tuple((what, *values) for what, values in zip(names, zip(*columns, strict=True), strict=True))
    return Comparison(rows, _most_and_least(dataset))


def _most_and_least(runs: xr.Dataset) -> str:
    """Which run's members differ most and least, where neither other examples nor other members could turn it round."""
    order = runs["disagreement"].to_numpy().argsort()[::-1]
    ranked = [runs.isel({RUN: int(place)}) for place in order]

    if np.isnan(runs["disagreement_members_low"]).any():
        return (
            "Whether other members would give the same order cannot be told from runs of two members: train three or "
            "more."
        )

    def clear(more: xr.Dataset, less: xr.Dataset) -> bool:
        return all(
            float(more[f"disagreement{over}_low"]) > float(less[f"disagreement{over}_high"])
            for over in ("", "_members")
        )

    told = []
    if clear(ranked[0], ranked[1]):
        told.append(f"most where {ranked[0][RUN].item()} varies")
    if clear(ranked[-2], ranked[-1]):
        told.append(
            f"least where {ranked[-1][RUN].item()} does" if told else f"least where {ranked[-1][RUN].item()} varies"
        )
    if told:
        return f"Members differ {' and '.join(told)}."
    return "It cannot be told which of these makes members differ most or least: the intervals overlap."


def _substitutes(methods: xr.Dataset, sentences: list[str], findings: list[Finding]) -> None:
    titles = listed(methods.attrs["titles"])
    alone, last = methods.isel({SIZE: 0}), methods.isel({SIZE: -1})
    best = 1 + int(alone["accuracy"].to_numpy()[1:].argmax())
    chosen = alone.isel({METHOD: best})
    value, interval = _percent(chosen, "accuracy_gain", sign=True, unit="points")
    count = len(titles) - 1
    note = f"{titles[best]}, best of {count}"
    findings.append(Finding("best substitute's gain", value, interval, note))
    low = float(chosen["accuracy_gain_low"])
    if low > 0:
        said = (
            f"Of {count} ways to get an ensemble out of one member, {titles[best]} gains most: {value} ({interval}; "
            "chosen on these very examples)"
        )
    else:
        said = (
            f"None of {count} ways to get an ensemble out of one member is clearly more accurate than that member; the "
            f"best, {titles[best]}, differs by {value} ({interval})"
        )
    members = int(last[SIZE])
    if members > 1:
        gained, _ = _percent(last.isel({METHOD: 0}), "accuracy_gain", sign=True, unit="points")
        said += f". {members} independent members gain {gained}"
        on_top = 1 + int(last["accuracy"].to_numpy()[1:].argmax())
        over = last.isel({METHOD: on_top})
        more, ends = _percent(over, "accuracy_over_optimum", sign=True, unit="points")
        low, high = float(over["accuracy_over_optimum_low"]), float(over["accuracy_over_optimum_high"])
        verdict = "adds" if low > 0 else "takes away" if high < 0 else "adds nothing that these examples can show:"
        said += f"; on top of them {titles[on_top]} {verdict} {more} ({ends})"
    sentences.append(said + ".")


def _diversity(plane: xr.Dataset, findings: list[Finding]) -> None:
    name = "diversity_at_equal_accuracy"
    counts = plane["samples_at_equal_accuracy"].to_numpy()
    values = np.where(counts >= 2, plane[name], np.nan)  # one network is no finding
    titles = listed(plane.attrs["titles"])
    if len(values) < 2 or not (values[1:] == values[1:]).any() or values[0] != values[0]:
        return
    best = 1 + int(np.nanargmax(values[1:]))
    for number, what in ((0, "diversity of members"), (best, "diversity of samples")):
        row = plane.isel({METHOD: number})
        interval = f"{float(row[name + '_low']):.2f} to {float(row[name + '_high']):.2f}"
        note = "disagreement / error" if number == 0 else f"{titles[best]}, most of {len(values) - 1}"
        findings.append(Finding(what, f"{values[number]:.2f}", interval, f"{note}; {int(counts[number])} networks"))


def _path(paths: xr.Dataset, sentences: list[str], findings: list[Finding]) -> None:
    barrier = paths["barrier"].to_numpy()
    best = 1 + int(barrier[1:].argmin())
    for number, what in ((0, "loss barrier, straight line"), (best, "loss barrier, trained path")):
        row = paths.isel({KIND: number})
        interval = f"{float(row['barrier_low']):.2f} to {float(row['barrier_high']):.2f}"
        findings.append(Finding(what, f"{barrier[number]:.2f} nat", interval, "0 = none"))
    first, second = listed(paths.attrs["ends"])
    ratio = float(paths["difference_over_error_first"].isel({KIND: best, T: -1}))
    if barrier[best] < 0.5 * barrier[0] and ratio == ratio:
        sentences.append(
            f"Members {first} and {second} are joined by a path on which the loss rises by {barrier[best]:.2f} nat "
            f"(straight line: {barrier[0]:.2f}); at its end the predictions differ from those at its beginning by "
            f"{ratio:.2f} of the error."
        )


def _shifted(shift: xr.Dataset, findings: list[Finding]) -> None:
    worst = shift.isel({INTENSITY: -1, METHOD: 0})
    there = worst["accuracy_mean"].dropna(SIZE)[SIZE].to_numpy()
    for size in sorted({int(there[0]), int(there[-1])}):
        value, interval = _percent(worst.sel({SIZE: size}), "accuracy_mean")
        what = f"accuracy at intensity {int(shift[INTENSITY][-1])}"
        findings.append(Finding(what, value, interval, f"{size} member{'s averaged' if size > 1 else ''}"))


def _percent(values: xr.Dataset, name: str, *, sign: bool = False, unit: str = "%") -> tuple[str, str]:
    form = "+.1f" if sign else ".1f"
    value, low, high = (100 * float(values[name + suffix]) for suffix in ("", "_low", "_high"))
    return f"{value:{form}} {unit}", f"{low:{form}} to {high:{form}} {unit}"
