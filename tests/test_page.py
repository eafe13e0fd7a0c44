"""The page in a real browser: nothing fails, nothing leaves it, every control changes what is drawn."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import TINY
from modescope import study
from modescope.analyses import NAMES
from modescope.recipe import load
from modescope.report import page as page_module
from modescope.report.arrays import Arrays
from modescope.report.states import states
from modescope.store.predictions import read_epoch, read_labels
from modescope.store.results import read_result

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("needs Chromium: `apt-get install chromium`")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


class Opened:
    """A page in the browser, and everything that it complained of or asked the network for."""

    def __init__(self, browser, path, **options):
        self.complaints, self.requests = [], []
        context = browser.new_context(**{"viewport": {"width": 1100, "height": 900}, **options})
        self.page = context.new_page()
        self.page.on("console", lambda said: said.type == "error" and self.complaints.append(said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        if options.get("java_script_enabled", True):
            self.page.wait_for_function("document.documentElement.dataset.ready === 'yes'", timeout=120_000)

    def drawn(self, panel):
        """What plotly.js has drawn in a panel: for each chart its traces and title."""
        code = """root => [...root.querySelectorAll('.chart')].map(chart => [chart.getAttribute('aria-label'),
            (chart.data || []).map(trace => [trace.type, JSON.stringify(trace.z || trace.x)])])"""
        return self.page.eval_on_selector(f"[data-panel={panel}], [data-charts={panel}]", code)

    def set(self, selector, value):
        """Move a slider or a chooser as a person does, and wait until the page is quiet."""
        code = """(control, value) => {
            control.value = value;
            control.dispatchEvent(new Event(control.tagName === 'SELECT' ? 'change' : 'input', {bubbles: true}));
        }"""
        self.page.locator(selector).first.evaluate(code, value)
        self.page.wait_for_timeout(300)


@pytest.fixture(scope="module")
def opened(browser, finished):
    return Opened(browser, finished.report)


def test_nothing_fails_and_nothing_leaves_the_page(opened, finished):
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith(("data:", "blob:"))] == [finished.report.as_uri()]
    assert opened.page.locator("section").count() == len(NAMES) + 2


def test_every_chart_has_a_text_alternative_and_something_drawn(opened):
    code = "all => all.map(each => [each.getAttribute('aria-label'), !!each.data])"
    charts = opened.page.eval_on_selector_all(".chart", code)
    assert len(charts) >= 6
    assert all(drawn and label and len(label) > 20 for label, drawn in charts)


def test_the_epoch_slider_moves_the_map_and_the_members_matrices(opened):
    before = opened.drawn("map"), opened.drawn("similarity")
    opened.set("[data-panel=map] input[type=range]", "1")
    after = opened.drawn("map"), opened.drawn("similarity")
    assert before[0] != after[0]
    assert before[1][:2] == after[1][:2]  # snapshots of one member are of all epochs
    assert before[1][2:] != after[1][2:]
    opened.set("[data-panel=map] input[type=range]", "3")
    assert (opened.drawn("map"), opened.drawn("similarity")) == before


def test_matrices_are_the_datasets(opened, finished):
    def shown(place):
        (_, [(_, values)]) = opened.drawn("similarity")[place]
        return np.array(json.loads(values))

    within, between = (read_result(finished, f"similarity_{what}") for what in ("snapshots", "members"))
    np.testing.assert_allclose(shown(0), 100 * within["disagreement"][0])
    np.testing.assert_allclose(shown(1), within["cosine_similarity"][0], atol=2e-5)
    np.testing.assert_allclose(shown(2), 100 * between["disagreement"])
    np.testing.assert_allclose(shown(3), between["cosine_similarity"], atol=2e-5)


def test_play_goes_through_the_epochs(opened):
    opened.page.locator("[data-panel=map] button", has_text="Play").click()
    opened.page.wait_for_timeout(150)
    opened.page.wait_for_function("document.querySelector('[data-panel=map] input').value === '3'", timeout=10_000)
    assert opened.page.locator("[data-panel=map] output").inner_text() == "3"


def test_two_states_are_compared_with_the_runs_own_numbers(opened, finished):
    choosers = "[data-panel=map] .controls:nth-of-type(3) select"
    for place, value in enumerate(("0", "1", "2", "3")):  # member 0 at epoch 1 with member 2 at epoch 3
        opened.page.locator(choosers).nth(place).select_option(value)
    told = opened.page.locator("[data-panel=map] .detail p").first.inner_text()
    one, other = (read_epoch(finished, *state).argmax(-1) for state in ((0, 1), (2, 3)))
    apart = int((one != other).sum())
    assert f"give different classes to {apart} of 150 examples ({100 * apart / 150:.1f} %)" in told
    cosine = float(read_result(finished, "trajectory_map")["cosine_similarity"][0, 1, 2, 3])
    assert f"the cosine of their weights is {cosine:.3f}." in told
    assert opened.page.locator("[data-panel=map] .cards li").count() == min(apart, 12)
    assert opened.page.locator("[data-panel=map] .cards canvas").count() == min(apart, 12)


def test_a_cell_of_a_matrix_chooses_its_two_states(opened):
    emit = """() => document.querySelectorAll('[data-panel=similarity] .chart')[0].emit(
        'plotly_click', {points: [{pointIndex: [2, 0]}]})"""
    opened.page.evaluate(emit)
    opened.page.wait_for_timeout(300)
    told = opened.page.locator("[data-panel=map] .detail p").first.inner_text()
    assert told.startswith("member 0, epoch 2")
    assert "member 0, epoch 0" in told


def test_confusion_matrices_are_the_datasets_and_the_averages(opened, finished):
    count = read_result(finished, "confusion")["count"].to_numpy()

    def shown(place):
        (_, [(_, roots)]) = opened.drawn("confusion")[place]
        return np.square(np.array(json.loads(roots))).round().astype(int)

    assert np.array_equal(shown(0), count[0, -1])
    prob = sum(np.exp(read_epoch(finished, member, 3).astype(np.float64)) for member in finished.members)
    label, average = read_labels(finished), np.zeros_like(count[0, 0])
    np.add.at(average, (label, prob.argmax(-1)), 1)
    assert np.array_equal(shown(1), average)
    opened.set("[data-panel=confusion] input[type=range]", "0")
    opened.set("[data-panel=confusion] .side select", "2")
    assert np.array_equal(shown(0), count[2, 0])
    opened.set("[data-panel=confusion] .controls select", "1")
    rates = 100 * count[2, 0] / count[2, 0].sum(axis=1, keepdims=True)
    assert np.abs(shown(0) - rates).max() < 0.51


def test_hard_examples_show_who_said_what(opened, finished):
    loss = read_result(finished, "hardness")["loss"].mean("member").to_numpy()
    hardest = np.argsort(-loss, kind="stable")
    buttons = opened.page.locator("[data-panel=hard] .gallery button")
    assert buttons.count() == 24
    buttons.nth(5).click()
    opened.page.wait_for_timeout(300)
    assert buttons.nth(5).get_attribute("aria-pressed") == "true"
    told = opened.page.locator("[data-panel=hard] .detail p").inner_text()
    assert told.startswith(f"Test example {hardest[5]} is ")
    (_, [(_, right)]) = opened.drawn("hard")[0]
    label = read_labels(finished)[hardest[5]]
    said = [[read_epoch(finished, m, e)[hardest[5]].argmax() == label for e in range(4)] for m in range(3)]
    assert np.array_equal(np.array(json.loads(right))[:3], np.array(said, dtype=int))


def test_every_chooser_changes_what_is_drawn(opened):
    """Of the charts that are described whole: each choice of each control gives another picture."""
    look = "chart => JSON.stringify([chart.data, chart.layout.yaxis, chart.layout.xaxis])"
    panels = opened.page.eval_on_selector_all("[data-charts] .panel", "all => all.length")
    for place in range(panels):
        panel = opened.page.locator("[data-charts] .panel").nth(place)
        for number in range(panel.locator("select").count()):
            select = panel.locator("select").nth(number)
            choices, seen = select.locator("option").count(), set()
            for choice in range(choices):
                select.select_option(str(choice))
                for _ in range(20):  # a busy machine draws slowly
                    opened.page.wait_for_timeout(150)
                    now = panel.locator(".chart").evaluate(look)
                    if now not in seen:
                        break
                seen.add(now)
            assert len(seen) == choices
            select.select_option("0")
    assert opened.complaints == []


def test_the_keyboard_reaches_every_control(opened):
    count = "() => document.querySelectorAll('select, button:not([hidden]), input, summary, a[href]').length"
    reached = """() => { const one = document.activeElement;
        return one === document.body ? null : [...document.querySelectorAll('*')].indexOf(one); }"""
    hidden = """() => [...document.querySelectorAll('select, button, input, summary, a[href]')].filter(
        each => each.offsetParent === null).length"""
    wanted = opened.page.evaluate(count) - opened.page.evaluate(hidden) + opened.page.locator("button[hidden]").count()
    opened.page.evaluate("() => { document.activeElement?.blur(); scrollTo(0, 0); }")
    seen = set()
    for _ in range(3 * wanted):
        opened.page.keyboard.press("Tab")
        place = opened.page.evaluate(reached)
        if place in seen:
            break
        if place is not None:
            seen.add(place)
    assert len(seen) >= wanted
    slider = opened.page.locator("[data-panel=confusion] input[type=range]")
    slider.focus()
    before = slider.input_value()
    opened.page.keyboard.press("ArrowRight" if before == "0" else "ArrowLeft")
    assert slider.input_value() != before


def test_a_phone_shows_it_without_sideways_scrolling(browser, finished):
    phone = Opened(browser, finished.report, viewport={"width": 390, "height": 844}, color_scheme="dark")
    width, inner = phone.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width <= inner == 390
    assert phone.complaints == []
    wide = """() => [...document.querySelectorAll('.chart, select, .slider, .cards, .gallery, h1, h2')].filter(each => {
        const box = each.getBoundingClientRect(); return box.right > 391; }).length"""
    assert phone.page.evaluate(wide) == 0


def test_light_and_dark(browser, finished):
    opened = Opened(browser, finished.report, color_scheme="light")
    ink = "() => document.querySelector('[data-panel=map] .chart').layout.font.color"
    paper = "() => getComputedStyle(document.body).backgroundColor"
    light = opened.page.evaluate(ink), opened.page.evaluate(paper)
    opened.page.locator("#theme").click()
    opened.page.wait_for_timeout(500)
    dark = opened.page.evaluate(ink), opened.page.evaluate(paper)
    assert light[0] != dark[0]
    assert light[1] != dark[1]
    assert opened.page.locator("#theme").inner_text() == "Light page"
    assert opened.complaints == []


def test_without_scripts_the_still_figures_are_there(browser, finished):
    plain = Opened(browser, finished.report, java_script_enabled=False)
    shown = plain.page.locator("img.still")
    assert shown.count() == len(NAMES)
    assert all(shown.nth(place).is_visible() for place in range(len(NAMES)))


def test_a_browser_that_cannot_decompress_shows_the_still_figures(browser, finished):
    context = browser.new_context()
    context.add_init_script("delete window.DecompressionStream")
    page = context.new_page()
    page.goto(finished.report.as_uri())
    page.wait_for_selector("img.still")
    assert page.locator("img.still").count() == len(NAMES)


def test_a_class_called_script_is_text_everywhere(browser, tmp_path, few_analyses):
    name = "<!--<script>hack"  # unescaped, it would swallow the rest of the page
    generator = np.random.default_rng(0)
    for split in ("train", "test"):
        for label, folder in enumerate((name, "b<b>old", "$x^2$")):
            place = tmp_path / "images" / split / folder
            place.mkdir(parents=True)
            for number in range(12):
                pixels = generator.integers(0, 85, (8, 8, 3), dtype=np.uint8) + 85 * np.uint8(label)
                Image.fromarray(pixels).save(place / f"{number}.png")
    settings = [setting for setting in TINY if not setting.startswith(("data.", "training.epochs"))] + [
        "training.epochs=2",
        f"data.source=images:{tmp_path / 'images'}",
    ]
    training = study.plan(load("digits", settings), tmp_path / "run", engine="sequential")
    study.carry_out(training, lambda member, record: None)
    study.report(training.run, study.analyze(training.run))
    opened = Opened(browser, training.run.report)
    assert opened.complaints == []
    assert opened.page.locator("script").count() == 3  # the data, plotly's and ours
    ticks = opened.page.locator("[data-panel=confusion] .chart").first.locator(".xtick text").all_text_contents()
    assert any("<script>" in tick for tick in ticks)
    assert any("b<b>old" in tick for tick in ticks)
    assert any("$x^2$" in tick for tick in ticks)


def test_a_larger_run_is_thinned_with_a_notice(finished, monkeypatch):
    from modescope.report import states as states_module

    monkeypatch.setattr(states_module, "_MOST_CLASSES_SAID", 4 * 2 * 60)
    monkeypatch.setattr(states_module, "_FEWEST_EXAMPLES", 50)
    results = {name: read_result(finished, name) for name in ("hardness", "trajectory_map")}
    arrays = Arrays()
    known = states(finished, results, None, arrays)
    shape = arrays.stored[known["predicted"]["$"]]["shape"]
    assert shape[0] == 4  # three members and their average
    assert shape[1] == 2
    assert known["epochs"] == [0, 3]
    assert shape[2] <= 74  # fifty, and the hardest among them
    assert re.search(r"it holds \d+ of the 150 test examples", known["notices"][0])
    assert "it holds 2 of the 4 epochs" in known["notices"][1]
    html = page_module.page(finished, results, {}, {})
    assert "it holds 2 of the 4 epochs" in html


def test_images_that_cannot_be_had_are_told_of(copied):
    recorded = json.loads(copied.provenance.read_text())
    recorded["data"]["sha256"] = "0" * 64
    copied.provenance.write_text(json.dumps(recorded))
    html = page_module.page(copied, {"hardness": read_result(copied, "hardness")}, {}, {})
    assert "Images of examples are missing: " in html


def test_the_script_is_plotlys_own():
    assert Path(page_module.__file__).parent.joinpath("scripts").is_dir()
    assert "plotly.js v" in page_module._plotly()[:400]
