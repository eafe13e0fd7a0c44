"""Should it be ensembled, and with how many? Known answers, and what is not known is called so."""

import numpy as np
import pytest
import xarray as xr

from modescope.report.verdict import how_many, verdict


def sizes(accuracy=(0.01, 0.005, 0.015), nll=(-0.1, -0.12, -0.08), steps=(0.01, 0.004, 0.0005), lows=None, worth=0.001):
    """Gains and steps of an ensemble with one member more than there are steps."""
    count = len(steps) + 1
    variables = {}
    for metric, ends in (("accuracy", accuracy), ("nll", nll)):
        for end, value in zip(("", "_low", "_high"), ends, strict=True):
            variables[f"{metric}_gain{end}"] = ("size", np.array([0.0] * (count - 1) + [value]))
    variables["accuracy_step"] = ("size", np.array([np.nan, *steps]))
    variables["accuracy_step_low"] = ("size", np.array([np.nan, *(steps if lows is None else lows)]))
    return xr.Dataset(variables, {"size": np.arange(1, count + 1)}, {"worth": worth})


@pytest.mark.parametrize(
    ("accuracy", "nll", "words"),
    [
        ((0.01, 0.005, 0.015), (-0.1, -0.12, -0.08), "Yes: 4 members averaged"),
        ((0.01, 0.005, 0.015), (0.0, -0.01, 0.01), "Yes: 4 members averaged"),
        ((0.01, 0.005, 0.015), (0.1, 0.08, 0.12), "Yes for accuracy, no for the probabilities"),
        ((0.0, -0.005, 0.005), (-0.1, -0.12, -0.08), "whether accuracy gains cannot be told"),
        ((0.0, -0.005, 0.005), (0.0, -0.01, 0.01), "Cannot tell with these data"),
        ((-0.01, -0.015, -0.005), (-0.1, -0.12, -0.08), "for accuracy, no"),
        ((-0.01, -0.015, -0.005), (0.1, 0.08, 0.12), "No: averaging gains nothing"),
        ((0.0, -0.005, 0.005), (0.1, 0.08, 0.12), "No: averaging gains nothing"),
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), "Cannot tell with these data"),
    ],
)
def test_only_what_an_interval_excludes_is_gained_or_lost(accuracy, nll, words):
    assert words in verdict(sizes(accuracy, nll))


def test_one_member_is_no_ensemble():
    assert verdict(sizes(steps=())) == "Cannot tell: one member is no ensemble."
    assert how_many(sizes(steps=())) is None
    assert how_many(sizes(steps=(0.01,))) is None


def test_the_size_from_which_another_member_is_not_worth_it():
    # one to two: 1 point; two to three: 0.4; three to four: 0.05, less than 0.1
    assert how_many(sizes()) == (
        "From 3 members on, another one adds less than 0.1 points of accuracy, and is not worth its cost."
    )
    assert how_many(sizes(worth=0.02)).startswith("From 1 member on, another one adds less than 2 points")
    assert how_many(sizes(worth=0.0)).startswith("Each of the 4 members still added 0 points of accuracy or more")


def test_a_late_worthy_member_keeps_the_earlier_ones_worth_it():
    assert how_many(sizes(steps=(0.01, 0.0005, 0.004, 0.0005))).startswith("From 4 members on")


def test_what_cannot_be_told_is_said():
    said = how_many(sizes(lows=(0.005, -0.001, -0.002)))
    assert said.endswith("; from 2 on these examples cannot show that another one adds anything.")
    said = how_many(sizes(lows=(0.005, -0.001, 0.0001)))
    assert "cannot show" not in said  # the last step is clear
