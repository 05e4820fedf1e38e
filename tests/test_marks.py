"""The mark in the charts: by pointer and by keyboard, for eyes and for screen readers."""

import base64
import csv
import io
from xml.etree import ElementTree

import numpy as np
import pytest
from browser import needs_chromium, page_of
from PIL import Image

from svcca_monitor import LayerInfo, ProbeSet, Run, Subspace
from svcca_monitor.report import write_report

pytestmark = needs_chromium

LONG = "encoder/" + "very_deep/" * 30 + "attention"
NAMES = ("a", "b", LONG)


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """A report of two runs of three epochs, of which one layer has a very long name."""
    folder, rng = tmp_path_factory.mktemp("marks"), np.random.default_rng(0)
    probe = ProbeSet(rng.normal(size=(40, 3)))
    infos = [LayerInfo(name, "Dense", i, (None, 4), "mean") for i, name in enumerate(NAMES)]
    runs = [Run.create(folder / name, infos, probe, measure="svcca") for name in ("one", "two")]
    for run in runs:
        for epoch in range(3):
            layers = {name: Subspace.from_activations(rng.normal(size=(40, 4))) for name in NAMES}
            run.write_snapshot(epoch, layers, epoch=epoch)
    return write_report(runs, folder / "report.html").as_uri()


@pytest.fixture
def page(browser, url):
    with page_of(browser, url, width=1000) as page:
        page.locator("output.time", has_text="epoch 2 of 2").wait_for()
        page.wait_for_timeout(300)
        yield page


def figure_of(page, title, kind=":not(.small)"):
    return page.locator(f"figure.chart{kind}:has(h3:has-text('{title}'))").first


def point_at(figure, i, j, n=3, m=3):
    canvas = figure.locator("canvas").nth(1)
    canvas.scroll_into_view_if_needed()
    x, y, width, height = map(float, canvas.get_attribute("data-area").split())
    canvas.hover(
        position={"x": x + (j + 0.5) * width / m, "y": y + height - (i + 0.5) * height / n}
    )


def test_what_is_said_at_the_pointer_goes_along_with_time(page):
    figure, tip = figure_of(page, "Pane"), page.locator(".tip")
    point_at(figure, 1, 0)
    before = tip.text_content()
    page.keyboard.press("Home")
    page.locator("output.time", has_text="epoch 0 of 2").wait_for()
    page.wait_for_timeout(100)
    assert tip.text_content() == figure.locator(".readout").text_content() != before
    page.keyboard.press("Escape")
    assert tip.is_hidden()
    assert figure.locator(".readout").text_content() == ""


def test_numbers_are_whole_beside_a_name_of_any_length(page):
    figure = figure_of(page, "Pane")
    point_at(figure, 2, 2)
    name, numbers = figure.locator(".readout span").all()
    assert name.text_content() == f"{LONG} × {LONG}: "
    cut = "e => e.scrollWidth > e.clientWidth"
    assert name.evaluate(cut)
    assert not numbers.evaluate(cut)
    assert numbers.text_content().startswith("svcca 1.000 · chance 0.")
    tip = page.locator(".tip").bounding_box()
    assert tip["x"] >= 0
    assert tip["x"] + tip["width"] <= 1000


def test_small_panes_say_their_numbers_to_the_keyboard_too(page):
    figure, tip = figure_of(page, "0 %", ".small"), page.locator(".tip")
    figure.locator("canvas[tabindex]").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowRight")
    assert tip.is_visible()
    assert tip.text_content().startswith("a × b: svcca 0.")
    canvas, box = figure.locator("canvas").nth(1).bounding_box(), tip.bounding_box()
    assert canvas["x"] <= box["x"] <= canvas["x"] + canvas["width"] + 14
    page.keyboard.press("Tab")
    assert tip.is_hidden()


def test_only_the_chart_with_the_keyboard_speaks(page):
    speaking = "[...document.querySelectorAll('.readout[aria-live=polite]')].length"
    assert page.evaluate(speaking) == 0
    figure = figure_of(page, "Convergence")
    figure.locator("canvas[tabindex]").focus()
    assert page.evaluate(speaking) == 1
    assert figure.locator(".readout").get_attribute("aria-live") == "polite"
    page.keyboard.press("Tab")
    assert page.evaluate(speaking) == 0


def test_pins_are_told_apart_by_colour_and_by_name(page):
    figure = figure_of(page, "Pane")
    for i, j in ((0, 0), (1, 0)):
        point_at(figure, i, j)
        page.mouse.down()
        page.mouse.up()
    page.wait_for_timeout(200)
    chips = page.locator(".pins button")
    assert chips.all_inner_texts() == ["a × a ✕", "b × a ✕"]
    colours = chips.evaluate_all("all => all.map((e) => getComputedStyle(e).borderColor)")
    curves = figure_of(page, "Curves").locator("canvas").first
    data = curves.evaluate("canvas => canvas.toDataURL().split(',')[1]")
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))
    for colour in colours:
        channels = [int(c) for c in colour.removeprefix("rgb(").removesuffix(")").split(",")]
        drawn = (pixels[..., :3] == channels).all(axis=-1).sum()
        assert drawn >= 40  # the square beside its name, and the curve
    assert len(set(colours)) == 2


def test_a_saved_file_says_of_which_run_and_epoch_it_is(page):
    page.keyboard.press("Home")
    page.locator("output.time", has_text="epoch 0 of 2").wait_for()
    page.wait_for_timeout(100)
    with page.expect_download() as download:
        figure_of(page, "Pane").get_by_role("button", name="as CSV").click()
    assert download.value.suggested_filename == "one Pane_ epoch 0 _ the end.csv"


def test_long_names_are_cut_in_the_middle(page):
    svg_text = "{http://www.w3.org/2000/svg}text"
    with page.expect_download() as download:
        figure_of(page, "Pane").get_by_role("button", name="as SVG").click()
    svg = ElementTree.parse(download.value.path()).getroot()
    labels = {element.text for element in svg.iter(svg_text)}
    short = next(label for label in labels if label.startswith("encoder/"))
    assert short.endswith("very_deep/attention")
    assert len(short) <= 60
    assert float(svg.get("width")) < 700


def colours_at(canvas, right, down):
    """Colours of the pixels around a place, in pixels of the page: (25, 4)."""
    data = canvas.evaluate("canvas => canvas.toDataURL().split(',')[1]")
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))
    ratio = pixels.shape[1] / canvas.evaluate("canvas => canvas.clientWidth")
    i, j = int(down * ratio), int(right * ratio)
    return pixels[i - 2 : i + 3, j - 2 : j + 3].reshape(-1, 4)


ACCENT = [194, 65, 12, 255]


@pytest.mark.parametrize("adjusted", [False, True])
def test_the_chance_level_of_a_cell_stands_on_the_bar(page, adjusted):
    if adjusted:
        page.get_by_label("chance as zero").check()
    for title, place in (("Pane", (1, 0)), ("Convergence", (1, 0))):
        figure = figure_of(page, title)
        point_at(figure, *place)
        page.wait_for_timeout(100)
        canvas = figure.locator("canvas").nth(1)
        x, y, width, height = map(float, canvas.get_attribute("data-area").split())
        text = figure.locator(".readout").text_content()
        level = 0 if adjusted else float(text.partition("chance ")[2].split()[0])
        found = colours_at(canvas, x + width + 8, y + height * (1 - level))
        assert (found == ACCENT).all(axis=1).any(), title
        away = colours_at(canvas, x + width + 8, y + height * (0.9 - level))
        assert not (away == ACCENT).all(axis=1).any()


def test_the_epoch_of_convergence_is_marked_on_the_curve(page):
    for title in ("Curves", "Convergence"):  # of random layers: all settle at the very end
        figure = figure_of(page, title)
        marks = figure.locator("canvas").nth(0 if title == "Curves" else 1)
        box = figure.locator("canvas").first.bounding_box()
        if title == "Curves":
            found = colours_at(marks, box["width"] - 14 + 4, 10)
            assert found[:, 3].max() > 100, "a dot is wider than the curve, beyond the last epoch"
        else:
            x, y, width, height = map(float, marks.get_attribute("data-area").split())
            found = colours_at(marks, x + width * 5 / 6 + 3, y + height / 6)
            assert (found[:, :3] > 240).all(axis=1).sum() >= 4


def test_a_pinned_curve_is_the_pane_over_time_also_with_chance_as_zero(page):
    figure = figure_of(page, "Pane")
    page.get_by_label("chance as zero").check()
    point_at(figure, 1, 0)
    page.mouse.down()
    page.mouse.up()
    page.keyboard.press("Home")
    page.locator("output.time", has_text="epoch 0 of 2").wait_for()
    page.wait_for_timeout(100)
    text = figure.locator(".readout").text_content().replace("−", "-")
    with page.expect_download() as download:
        figure_of(page, "Curves").get_by_role("button", name="as CSV").click()
    head, first, *_ = csv.reader(download.value.path().read_text("utf-8").splitlines())
    assert head[-1] == "b × a"
    assert float(first[-1]) == pytest.approx(float(text.rpartition("adjusted ")[2]), abs=1e-3)


def test_an_epoch_beyond_the_run_is_named_as_the_one_that_is_shown(page):
    page.get_by_label("Curves against").select_option("epoch")
    page.get_by_label("Epoch compared with").fill("99")
    page.keyboard.press("Enter")
    figure_of(page, "Convergence to epoch 2").wait_for()


def test_charts_of_two_runs_stand_side_by_side_whatever_is_said_above_them(page):
    page.locator("main .note").first.evaluate("e => { e.textContent = 'word '.repeat(90); }")
    for title in ("Pane", "Curves", "Convergence", "Trajectory"):
        figures = page.locator(f"figure.chart:not(.small):has(h3:has-text('{title}'))")
        first, second = (figures.nth(k).bounding_box() for k in range(2))
        assert first["y"] == second["y"]
        assert first["x"] + first["width"] < second["x"]


def test_runs_that_do_not_fit_beside_each_other_stand_below_each_other(page):
    page.set_viewport_size({"width": 800, "height": 900})
    page.wait_for_timeout(200)
    first, second = (page.locator("main .run").nth(k).bounding_box() for k in range(2))
    assert first["y"] + first["height"] <= second["y"]
    assert page.locator("table").first.is_visible()  # with the long name in it
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
