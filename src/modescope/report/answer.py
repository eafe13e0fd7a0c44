"""The answer in plain words: what the ensemble gains, and how different its members are."""

from collections.abc import Mapping
from dataclasses import dataclass

import xarray as xr

from modescope.types import MEMBER, MEMBER_OTHER, SIZE


@dataclass(frozen=True)
class Finding:
    """One line of the answer."""

    what: str
    value: str
    interval: str  # `low to high`; empty where there is none
    note: str = ""


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


def _percent(values: xr.Dataset, name: str, *, sign: bool = False, unit: str = "%") -> tuple[str, str]:
    form = "+.1f" if sign else ".1f"
    value, low, high = (100 * float(values[name + suffix]) for suffix in ("", "_low", "_high"))
    return f"{value:{form}} {unit}", f"{low:{form}} to {high:{form}} {unit}"
