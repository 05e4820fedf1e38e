"""The view by keyboard and by link, in a report: it is that of the tab, without a server."""

import base64
import csv
import io
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from browser import needs_chromium, page_of
from matplotlib import colormaps
from PIL import Image

from svcca_monitor import LayerInfo, ProbeSet, Run, Subspace, learning_dynamics, pane, trajectory
from svcca_monitor.report import write_report

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of five epochs."""
    folder, rng = tmp_path_factory.mktemp("view"), np.random.default_rng(0)
    probe = ProbeSet(rng.normal(size=(40, 3)))
    infos = [LayerInfo(name, "Dense", i, (None, 4), "mean") for i, name in enumerate("abc")]
    runs = [Run.create(folder / name, infos, probe, measure="svcca") for name in ("one", "two")]
    for run in runs:
        for epoch in range(5):
            layers = {name: Subspace.from_activations(rng.normal(size=(40, 4))) for name in "abc"}
            run.write_snapshot(epoch, layers, epoch=epoch)
    return runs


@pytest.fixture(scope="module")
def url(runs, tmp_path_factory):
    """A report of both."""
    return write_report(runs, tmp_path_factory.mktemp("report") / "report.html").as_uri()


def at(page, epoch):
    page.locator("output.time", has_text=f"epoch {epoch} of 4").wait_for()


def test_a_link_that_is_pasted_into_an_open_page_is_followed(browser, url):
    with page_of(browser, url) as page:
        at(page, 4)
        page.evaluate("location.hash = '#p.svcca.epoch=1&p.svcca.layer=b&p.svcca.adjusted=true'")
        at(page, 1)
        assert page.get_by_role("combobox", name="Trajectory of").input_value() == "b"
        assert page.get_by_label("chance as zero").is_checked()
        page.evaluate("location.hash = ''")
        at(page, 4)
        assert not page.get_by_label("chance as zero").is_checked()


@pytest.mark.parametrize(
    "link",
    [
        *("mode=nonsense", "epoch=%E0%A4%A", "epoch=x", "epoch=-7", "epoch=1e999", "pins=[1]"),
        *("pins=[null]", "pins={", "runs=[1]", "runs=7", "layer=zz", "reference=99", "first=zz"),
        *("adjusted=1", "__proto__=1", "constructor=1"),
    ],
)
def test_of_a_link_that_was_cut_off_or_made_up_what_makes_sense_is_shown(browser, url, link):
    with page_of(browser, f"{url}#p.svcca.{link}&p.svcca.filter=one") as page:
        page.locator("output.time", has_text="of 4").wait_for()
        assert page.locator("main h2").all_inner_texts() == ["one"]
        for select in page.locator("header select").all():
            assert select.evaluate("e => e.selectedIndex") >= 0
        assert page.locator(".chart canvas[data-area]").count() > 0


def test_keys_step_through_time_wherever_nothing_is_typed(browser, url):
    with page_of(browser, url) as page:
        at(page, 4)
        page.keyboard.press("Home")
        at(page, 0)
        page.locator("button.play").focus()
        page.keyboard.press(".")
        at(page, 1)
        page.get_by_label("chance as zero").focus()
        page.keyboard.press(".")
        at(page, 2)
        page.keyboard.press("Space")  # presses the box, and does not play
        assert page.get_by_label("chance as zero").is_checked()
        page.wait_for_timeout(700)
        at(page, 2)
        page.keyboard.press("Control+.")
        page.get_by_label("Filter runs").focus()
        page.keyboard.press("Home")
        page.keyboard.type(".")  # any run
        page.wait_for_timeout(200)
        at(page, 2)
        assert page.locator("main h2").all_inner_texts() == ["one", "two"]


def test_every_chart_is_reached_by_tab_and_says_how_to_move_in_it(browser, url):
    with page_of(browser, url) as page:
        at(page, 4)
        reached, labels = 0, []
        for _ in range(120):
            page.keyboard.press("Tab")
            role, label = page.evaluate(
                "[document.activeElement.getAttribute('role'),"
                " document.activeElement.getAttribute('aria-label')]"
            )
            if role == "application":
                reached += 1
                labels.append(label)
        charts = page.locator("canvas[tabindex]").count()
        assert charts == 2 * 8 + 1  # two runs: four moments and four charts each; their difference
        assert reached >= charts
        assert all("Arrow keys move the mark, Enter" in label for label in labels)


def test_a_step_by_keyboard_says_the_number_to_screen_readers(browser, url):
    with page_of(browser, url) as page:
        at(page, 4)
        for title in ("Pane", "Curves", "Convergence", "Trajectory"):
            figure = page.locator(f"figure.chart:not(.small):has(h3:has-text('{title}'))").first
            figure.locator("canvas[tabindex]").focus()
            page.keyboard.press("ArrowUp")
            readout = figure.locator("[aria-live=polite]")
            assert "svcca" in readout.text_content(), title


def figure_of(page, title):
    return page.locator(f"figure.chart:not(.small):has(h3:has-text('{title}'))").first


def picture(figure):
    """What is drawn, without the marks over it: (height, width, 4), and pixels in a CSS pixel."""
    canvas = figure.locator("canvas").first
    data = canvas.evaluate("canvas => canvas.toDataURL().split(',')[1]")
    drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))
    return drawn, drawn.shape[1] / canvas.evaluate("canvas => canvas.clientWidth")


def viridis(value):
    return np.array(colormaps["viridis"](float(value))[:3]) * 255


@pytest.mark.parametrize(("mode", "reference"), [("end", "final"), ("now", 1)])
def test_cells_have_the_colour_of_their_values_on_the_page_and_in_svg(
    browser, url, runs, mode, reference
):
    values = pane(runs[0], 1, reference)
    with page_of(browser, f"{url}#p.svcca.epoch=1&p.svcca.mode={mode}") as page:
        at(page, 1)
        page.wait_for_timeout(300)
        figure = figure_of(page, "Pane")
        area = figure.locator("canvas").nth(1).get_attribute("data-area")
        x, y, width, height = map(float, area.split())
        with page.expect_download() as download:
            figure.get_by_role("button", name="as SVG").click()
        svg = ElementTree.parse(download.value.path())
        rectangles = {
            rectangle[0].text.split(":")[0]: rectangle.get("fill")
            for rectangle in svg.iter("{http://www.w3.org/2000/svg}rect")
            if len(rectangle)
        }
        drawn, ratio = picture(figure)
        for i, row in enumerate("abc"):
            for j, column in enumerate("abc"):
                down, right = y + height - (i + 0.5) * height / 3, x + (j + 0.5) * width / 3
                colour = drawn[int(down * ratio), int(right * ratio), :3]
                # Between nine colours of viridis, the map is taken as straight.
                np.testing.assert_allclose(colour, viridis(values[i, j]), atol=9)
                fill = rectangles[f"{row} × {column}"]
                assert fill == f"rgb({','.join(map(str, colour))})"


def test_curves_pass_through_their_values(browser, url, runs):
    curves = learning_dynamics(runs[0])
    with page_of(browser, url) as page:
        at(page, 4)
        page.wait_for_timeout(300)
        figure = figure_of(page, "Curves")
        drawn, ratio = picture(figure)
        height, width = (side / ratio for side in drawn.shape[:2])
        for k in (1, 2, 3):
            for value in curves[k].values:  # within the axes, whose margins are fixed
                right, down = 44 + k / 4 * (width - 58), 10 + (1 - value) * (height - 52)
                assert drawn[int(down * ratio), int(right * ratio), 3] > 100, (k, value)


def test_the_small_panes_are_of_four_moments_of_training(browser, url):
    with page_of(browser, url) as page:
        at(page, 4)
        titles = page.locator("section").first.locator(".small h3").all_inner_texts()
        assert titles == ["0 % · epoch 0", "35 % · epoch 1", "75 % · epoch 3", "100 % · epoch 4"]


def test_the_difference_is_the_first_run_minus_the_second(browser, url, runs):
    first, second = (pane(run, 1) for run in runs)
    with page_of(browser, f"{url}#p.svcca.epoch=1") as page:
        at(page, 1)
        figure = figure_of(page, "Difference")
        figure.locator("canvas[tabindex]").focus()
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowRight")
        text = figure.locator(".readout").text_content().replace("−", "-")
        assert text.startswith("a × b: ")
        expected = float(first[0, 1] - second[0, 1])
        assert float(text.removeprefix("a × b: ")) == pytest.approx(expected, abs=1e-3)


def test_a_trajectory_with_chance_as_zero_is_that_of_the_run(browser, url, runs):
    past = trajectory(runs[0], "b", adjusted=True)
    with page_of(browser, f"{url}#p.svcca.layer=b&p.svcca.adjusted=true") as page:
        at(page, 4)
        figure = figure_of(page, "Trajectory")
        figure.locator("canvas[tabindex]").focus()
        for key in ("ArrowUp", "ArrowUp", "ArrowUp", "ArrowRight"):
            page.keyboard.press(key)
        text = figure.locator(".readout").text_content().replace("−", "-")
        assert text.startswith("b, epoch 2 × epoch 1: ")
        adjusted = float(text.rpartition("adjusted ")[2])
        assert adjusted == pytest.approx(float(past[2, 1]), abs=1e-3)


def test_what_is_not_ours_in_an_address_stays_when_the_view_changes(browser, url):
    with page_of(browser, f"{url}#chapter=2&p.svcca.epoch=1") as page:
        at(page, 1)
        page.get_by_label("chance as zero").check()
        page.wait_for_timeout(600)
        assert page.evaluate("location.hash") == "#chapter=2&p.svcca.epoch=1&p.svcca.adjusted=true"


def test_a_spreadsheet_takes_no_name_for_a_formula(browser, tmp_path):
    rng = np.random.default_rng(0)
    names = ("=1+1", "@b", 'c"d,e')
    infos = [LayerInfo(name, "Dense", i, (None, 4), "mean") for i, name in enumerate(names)]
    run = Run.create(tmp_path / "run", infos, ProbeSet(rng.normal(size=(40, 3))), measure="svcca")
    for epoch in range(2):
        layers = {name: Subspace.from_activations(rng.normal(size=(40, 4))) for name in names}
        run.write_snapshot(epoch, layers, epoch=epoch)
    report = write_report([run], tmp_path / "report.html").as_uri()
    with page_of(browser, report) as page:
        page.locator("output.time", has_text="epoch 1 of 1").wait_for()
        with page.expect_download() as download:
            figure_of(page, "Pane").get_by_role("button", name="as CSV").click()
        _, *rows = csv.reader(io.StringIO(download.value.path().read_text("utf-8")))
        assert [row[0] for row in rows] == ["'=1+1", "'@b", 'c"d,e']
        assert max(len(value) for row in rows for value in row[1:]) <= 12  # single precision
