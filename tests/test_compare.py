"""Several runs side by side: paired differences by hand, what cannot be compared, and the page."""

import shutil

import numpy as np
import pytest

from conftest import Page, trained
from modescope import study
from modescope.analyses import comparison, similarity_members
from modescope.errors import RequestError
from modescope.report.versus import versus
from modescope.store.predictions import read_epoch, read_labels
from modescope.store.run import Run


@pytest.fixture(scope="module")
def longer(tmp_path_factory):
    """Two members of five epochs, tested on the same examples as `finished`."""
    run, _ = trained(tmp_path_factory.mktemp("longer") / "longer", "ensemble.members=2", "training.epochs=5")
    return run


def scores(run):
    """Accuracy and NLL of one member (the mean) and of all averaged, from the files alone."""
    label = read_labels(run)
    prob = np.stack([np.exp(read_epoch(run, member, run.epochs[-1]).astype(np.float64)) for member in run.members])
    of_label = prob[:, np.arange(len(label)), label]
    alone = (prob.argmax(-1) == label).mean(), -np.log(of_label).mean()
    together = (prob.mean(0).argmax(-1) == label).mean(), -np.log(of_label.mean(0)).mean()
    return {"one": alone, "all": together}


def test_differences_are_those_of_the_predictions(finished, longer):
    dataset = comparison.analyze([finished, longer])
    assert dataset["run"].to_numpy().tolist() == ["run", "longer"]
    assert dataset["members"].to_numpy().tolist() == [3, 2]
    for kind in ("one", "all"):
        for place, metric in enumerate(("accuracy", "nll")):
            mine, other = scores(finished)[kind][place], scores(longer)[kind][place]
            assert float(dataset[f"{metric}_{kind}"][0]) == pytest.approx(mine)
            assert float(dataset[f"{metric}_{kind}_difference"][1]) == pytest.approx(other - mine)
            ends = [float(dataset[f"{metric}_{kind}_difference_{end}"][1]) for end in ("low", "high")]
            assert ends[0] <= other - mine <= ends[1]
    assert np.isnan(dataset["accuracy"][1, 2])  # it has no three members
    assert float(dataset["accuracy"][1, 1]) == pytest.approx(scores(longer)["all"][0])


def test_the_first_run_and_its_copy_do_not_differ(finished, copied):
    dataset = comparison.analyze([finished, copied])
    for metric in ("accuracy", "nll", "brier", "ece"):
        for kind in ("one", "all"):
            for end in ("", "_low", "_high"):
                assert dataset[f"{metric}_{kind}_difference{end}"].to_numpy().tolist() == [0.0, 0.0]
    assert "cannot tell whether" in versus(dataset).sentences[0]


def test_the_other_way_round_differences_change_their_sign(finished, longer):
    there, back = comparison.analyze([finished, longer]), comparison.analyze([longer, finished])
    for metric in ("accuracy", "nll", "brier"):
        name = f"{metric}_all_difference"
        assert float(there[name][1]) == pytest.approx(-float(back[name][1]))
        assert float(there[f"{name}_low"][1]) == pytest.approx(-float(back[f"{name}_high"][1]))


def test_pairing_makes_intervals_narrower_than_those_of_two_samples(finished, longer):
    dataset = comparison.analyze([finished, longer])
    paired = float(dataset["accuracy_all_difference_high"][1] - dataset["accuracy_all_difference_low"][1])
    widths = (dataset["accuracy_all_high"] - dataset["accuracy_all_low"]).to_numpy()
    assert paired < np.hypot(*widths)


def test_runs_of_other_test_examples_are_refused(finished, tmp_path):
    other, _ = trained(tmp_path / "other", "data.test_examples=140")
    with pytest.raises(RequestError, match="were tested on different examples"):
        study.compare([finished, other], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_runs_of_one_name_are_told_apart(finished, copied, tmp_path):
    shutil.copytree(finished.path, tmp_path / "a" / "run")
    shutil.copytree(finished.path, tmp_path / "b" / "run")
    runs = [Run(tmp_path / folder / "run", finished.recipe) for folder in "ab"]
    assert comparison.names(runs) == ["a/run", "b/run"]
    assert comparison.names([runs[0], copied]) == ["run", "copied"]


def test_one_member_has_no_disagreement(finished, tmp_path):
    single, _ = trained(tmp_path / "single", "ensemble.members=1")
    dataset = comparison.analyze([finished, single])
    assert np.isnan(dataset["disagreement"][1])
    assert np.isnan(dataset["cosine_similarity"][1])
    assert [row[2] for row in versus(dataset).rows[-2:]] == ["", ""]


def test_cosines_are_those_of_similarity_members(finished, longer):
    dataset = comparison.analyze([finished, longer])
    for row, run in enumerate((finished, longer)):
        cosine = similarity_members.analyze(run)["cosine_similarity"].to_numpy()
        mean = cosine[np.triu_indices(len(cosine), 1)].mean()
        assert float(dataset["cosine_similarity"][row]) == pytest.approx(mean)
    low, high = (float(dataset[f"cosine_similarity_{end}"][0]) for end in ("low", "high"))
    assert low < float(dataset["cosine_similarity"][0]) < high
    assert np.isnan(dataset["cosine_similarity_low"][1])  # two members make one pair
    assert versus(dataset).rows[-1][2] == f"{float(dataset['cosine_similarity'][1]):.3f}"


def test_the_page_holds_the_table_and_shows_names_as_text(finished, tmp_path):
    hostile = tmp_path / "<script>alert(1)<"
    shutil.copytree(finished.path, hostile)
    compared = study.compare([finished, Run(hostile, finished.recipe)], tmp_path / "out")
    page = Page(compared.page.read_text())
    assert not [tag for tag, _ in page.tags if tag == "script"]
    assert "<script>alert(1)<" in page.text
    for row in versus(compared.comparison).rows:
        for cell in row:
            assert cell.strip() in page.text
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert all((compared.page.parent / link).exists() for link in links)
    assert "Nothing." in page.text  # no setting differs
