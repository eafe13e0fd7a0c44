"""Training in cycles: the schedule, and cSG-MCMC's noise, alone and stacked."""

import math

import numpy as np
import pytest
import torch

from conftest import TINY, files, trained
from modescope import study
from modescope.analyses.bench import Bench
from modescope.analyses.epochs import cycle_epochs
from modescope.errors import MembersFailedError, RecipeError
from modescope.recipe import load
from modescope.settings import TrainingSettings
from modescope.store.predictions import read_epoch
from modescope.store.snapshots import read_snapshot
from modescope.training.csgmcmc import CSGMCMC, Noise, is_noisy
from modescope.training.schedules import learning_rate

CYCLIC = (
    "training.schedule=cyclic-cosine", "training.cycles=2", "training.epochs=4", "training.optimizer=csgmcmc",
    "training.momentum=0.1", "training.learning_rate=0.1", "training.noise_epochs=1", "training.weight_decay=5e-4",
)  # fmt: skip


def test_the_schedule_is_huangs_formula_step_by_step():
    settings = TrainingSettings(schedule="cyclic-cosine", cycles=3, epochs=12, learning_rate=0.2)
    steps = 5  # an epoch
    total, cycles = 12 * steps, 3
    length = math.ceil(total / cycles)
    for iteration in range(1, total + 1):
        epoch, part = divmod(iteration - 1, steps)
        expected = 0.2 / 2 * (math.cos(math.pi * ((iteration - 1) % length) / length) + 1)
        assert learning_rate(settings, epoch, part / steps) == pytest.approx(expected)
    assert learning_rate(settings, 4) == pytest.approx(0.2)  # a new cycle


def test_one_step_by_hand():
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    optimizer = CSGMCMC([{"params": [weight], "weight_decay": 0.5}], lr=0.1, momentum=0.25)
    for gradient in ([1.0, 2.0], [0.5, -1.0]):
        before, buffer = weight.detach().clone(), optimizer.state[weight].get("momentum_buffer", torch.zeros(2)).clone()
        weight.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
        expected = 0.25 * buffer - 0.1 * (weight.grad + 0.5 * before)
        torch.testing.assert_close(weight.detach(), before + expected)


def test_noise_has_the_published_variance():
    weight = torch.nn.Parameter(torch.zeros(200_000, dtype=torch.float64))
    optimizer = CSGMCMC([{"params": [weight], "weight_decay": 0.0}], lr=0.5, momentum=0.1)
    optimizer.noise = Noise([torch.Generator().manual_seed(0)], 2.0 / 1000, False)  # T = 2, n = 1000
    weight.grad = torch.zeros_like(weight)
    optimizer.step()
    assert float(weight.detach().var()) == pytest.approx(2 * 0.5 * 0.9 * 2.0 / 1000, rel=0.02)
    assert abs(float(weight.detach().mean())) < 1e-3


def test_noise_comes_at_the_end_of_each_cycle():
    settings = TrainingSettings(schedule="cyclic-cosine", cycles=4, epochs=200, noise_epochs=5)
    noisy = [epoch for epoch in range(1, 201) if is_noisy(settings, epoch)]
    assert noisy == [epoch for epoch in range(1, 201) if ((epoch - 1) % 50) + 1 > 45]  # as the authors' code has it


def test_a_cyclic_run_resumes_to_the_bit_and_its_members_are_their_own(tmp_path):
    whole, records = trained(tmp_path / "whole", *CYCLIC, "ensemble.members=2")
    rates = [record.learning_rate for member, record in records if member == 0]
    assert rates == [None, 0.1, pytest.approx(0.05), 0.1, pytest.approx(0.05)]

    def stop(member, record):
        if member == 1 and record.epoch == 3:
            raise RuntimeError("stopped")

    recipe = load("digits", [*TINY, *CYCLIC, "ensemble.members=2"])
    with pytest.raises(MembersFailedError, match="stopped"):
        study.carry_out(study.plan(recipe, tmp_path / "stopped", engine="sequential"), stop)
    resumed = study.plan(recipe, tmp_path / "stopped", engine="sequential")
    study.carry_out(resumed, lambda member, record: None)
    assert files(resumed.run) == files(whole)
    cold, _ = trained(tmp_path / "cold", *CYCLIC, "ensemble.members=1", "training.temperature=0")
    before, after = ([read_snapshot(run, 0, epoch).state for epoch in (1, 2)] for run in (whole, cold))
    same = [all(torch.equal(one[name], other[name]) for name in one) for one, other in zip(before, after, strict=True)]
    assert same == [True, False]  # no noise in the first epoch of a cycle, noise in its last


def test_stacked_members_get_the_noise_they_get_alone(tmp_path):
    exact = (*CYCLIC, "training.precision=float64", "ensemble.members=3")
    alone, _ = trained(tmp_path / "alone", *exact)
    stacked, _ = trained(tmp_path / "stacked", *exact, engine="stacked")
    for member in range(3):
        one, other = (read_snapshot(run, member, 4).state for run in (alone, stacked))
        for name, tensor in one.items():
            torch.testing.assert_close(other[name], tensor, rtol=1e-6, atol=1e-9)


def test_snapshot_ensembles_are_the_ends_of_cycles(tmp_path):
    run, _ = trained(tmp_path / "run", *CYCLIC, "training.noise_epochs=2", "ensemble.members=2")
    assert [list(cycle_epochs(run.recipe, samples)) for samples in (1, 2, 3, 4, 9)] == [
        [4], [2, 4], [2, 4], [1, 2, 3, 4], [1, 2, 3, 4],
    ]  # fmt: skip
    adam = load("digits", [*TINY, "training.schedule=cyclic-cosine", "training.cycles=2", "training.epochs=4"])
    assert cycle_epochs(adam, 10) == [2, 4]
    bench = Bench(run, torch.device("cpu"))
    assert "snapshot_ensemble" in bench.methods()[0]
    said = bench.said(1, "snapshot_ensemble", 10)
    np.testing.assert_array_equal(said, [read_epoch(run, 1, epoch) for epoch in (4, 3, 2, 1)])
    ready = bench.prepared(1, "snapshot_ensemble", 10)
    np.testing.assert_array_equal(bench.ask(ready), said)
    results = study.analyze(run, ["subspaces", "diversity_plane"])
    assert results.datasets["subspaces"]["samples"].sel({"method": "snapshot_ensemble"}) == 2  # of three at the most


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["training.cycles=3"], "training.cycles = 3 needs training.schedule = 'cyclic-cosine', not 'report'"),
        (
            ["training.schedule=cyclic-cosine", "training.cycles=9", "training.epochs=4"],
            "training.epochs = 4 is no multiple of training.cycles = 9",
        ),
    ],
)
def test_cycles_that_cannot_be_are_refused(settings, told):
    with pytest.raises(RecipeError, match=told):
        load("digits", settings)


def test_every_member_has_noise_of_its_own_whatever_else_is_shared(tmp_path):
    run, _ = trained(tmp_path / "run", *CYCLIC, "ensemble.members=2", "ensemble.vary=[]")
    for epoch, alike in ((1, True), (2, False)):
        one, other = (read_snapshot(run, member, epoch).state for member in (0, 1))
        assert all(torch.equal(one[name], other[name]) for name in one) == alike
