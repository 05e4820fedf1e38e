"""The SVCCA tab in a real TensorBoard and a real browser."""

import csv
import io
import shutil
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from browser import needs_chromium, page_of
from PIL import Image
from tab_page import chart, point_at, said, saved, tab
from tensorboard_server import serving, until

from svcca_monitor import Run, chance_level, convergence, learning_dynamics, pane, trajectory

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def logs(trained, tmp_path_factory):
    """Two runs: the trained one, and what it was after its first epochs, still in training."""
    folder = tmp_path_factory.mktemp("logs")
    shutil.copytree(trained[0], folder / "whole")
    shutil.copytree(trained[0], folder / "young")
    for path in (folder / "young/svcca").glob("*.final"):
        path.unlink()
    return folder


@pytest.fixture(scope="module")
def server(logs):
    with serving(logs) as server:
        until(lambda: len(server.ask("svcca/tags")) == 2)
        until(lambda: "svcca/final" in server.ask("svcca/tags")["whole/svcca"]["tags"])
        yield server


ONE = "&p.svcca.runs=%5B%22whole%2Fsvcca%22%5D"


def test_the_numbers_under_the_cursor_are_those_of_the_run(browser, server, logs):
    run = Run(logs / "whole")
    layers, steps = len(run.layers), len(run.steps)
    end = pane(run, "final")
    with tab(browser, server, ONE) as (page, frame):
        for i, j in ((0, 0), (1, 5), (5, 1), (13, 12)):
            text = point_at(frame, "Pane", i, j, layers, layers)
            assert text.startswith(f"{run.layers[i]} × {run.layers[j]}: ")
            assert said(text) == pytest.approx(float(end[i, j]), abs=1e-3)
            assert said(text, "chance") == pytest.approx(float(end["chance"][i, j]), abs=1e-3)
            assert frame.locator(".tip").text_content() == text
        for reference in ("final", "previous", "initial"):
            frame.get_by_label("Curves against").select_option(reference)
            page.wait_for_timeout(200)
            curves = learning_dynamics(run, reference)
            for i, k in ((0, 1), (6, 4)):
                text = point_at(frame, "Convergence", i, k, layers, steps)
                assert text.startswith(f"{run.layers[i]} at epoch {k}: ")
                assert said(text) == pytest.approx(float(curves[k, i]), abs=1e-3)
                chance = float(curves["chance"][k, i])
                assert said(text, "chance") == pytest.approx(chance, abs=1e-3)
        frame.get_by_role("combobox", name="Trajectory of").select_option("c4")
        page.wait_for_timeout(200)
        past = trajectory(run, "c4")
        for k, other in ((1, 4), (4, 1), (3, 3)):
            text = point_at(frame, "Trajectory", k, other, steps, steps)
            assert said(text) == pytest.approx(float(past[k, other]), abs=1e-3)
        frame.get_by_label("chance as zero").check()
        page.wait_for_timeout(200)
        text = point_at(frame, "Pane", 1, 5, layers, layers)
        adjusted = float(pane(run, "final", adjusted=True)[1, 5])
        assert said(text, "adjusted") == pytest.approx(adjusted, abs=1e-3)
        frame.get_by_label("Epoch", exact=True).press("Home")
        page.wait_for_timeout(200)
        adjusted = pane(run, "initial", adjusted=True)  # layers have other sizes than at the end
        for i, j in ((1, 5), (5, 1), (12, 8)):
            text = point_at(frame, "Pane", i, j, layers, layers)
            assert said(text, "adjusted") == pytest.approx(float(adjusted[i, j]), abs=1e-3)


def test_one_slider_moves_every_pane_and_play_runs_to_the_end(browser, server, logs):
    run = Run(logs / "whole")
    n = len(run.layers)
    with tab(browser, server) as (page, frame):
        time, slider = frame.locator("output.time"), frame.get_by_label("Epoch", exact=True)
        assert time.inner_text() == "epoch 6 of 6"
        slider.focus()
        slider.press("ArrowLeft")
        slider.press("ArrowLeft")
        page.wait_for_timeout(200)
        assert time.inner_text() == "epoch 4 of 6"
        titles = frame.locator("h3", has_text="Pane: epoch 4").count()
        assert titles == 2
        text = point_at(frame.locator("section[aria-label='Run whole/svcca']"), "Pane", 2, 7, n, n)
        assert said(text) == pytest.approx(float(pane(run, 4)[2, 7]), abs=1e-3)
        slider.press("Home")
        time.evaluate(
            "e => { window.seen = []; new MutationObserver(() => window.seen.push(e.textContent))"
            ".observe(e, {childList: true}); }"
        )
        frame.get_by_role("button", name="Play").click()
        frame.locator("output.time", has_text="epoch 6 of 6").wait_for()
        frame.get_by_role("button", name="Play").wait_for()  # it has stopped by itself
        seen = time.evaluate("() => window.seen")
        assert [text for text in seen if text] == [f"epoch {k} of 6" for k in range(1, 7)]
        button = frame.locator("button.play")
        button.evaluate("e => { e.click(); window.setTimeout(() => e.click(), 700); }")
        page.wait_for_timeout(2500)
        assert button.get_attribute("aria-label") == "Play"
        assert time.inner_text() in ("epoch 1 of 6", "epoch 2 of 6")
        button.evaluate("e => e.blur()")
        frame.locator("html").press("End")
        frame.locator("html").press(",")
        page.wait_for_timeout(300)
        assert time.inner_text() == "epoch 5 of 6"


def test_two_runs_stand_side_by_side_and_their_difference_beside_them(browser, server, logs):
    run = Run(logs / "whole")
    n = len(run.layers)
    with tab(browser, server, "&p.svcca.mode=now&p.svcca.epoch=2") as (page, frame):
        names = frame.locator("main h2").all_inner_texts()
        assert names == ["whole/svcca", "young/svcca"]
        first, second = (frame.locator("main section").nth(k) for k in range(2))
        text = point_at(first, "Pane", 3, 8, n, n)
        assert said(text) == pytest.approx(float(pane(run, 2, 2)[3, 8]), abs=1e-3)
        assert chart(second, "Pane").locator(".readout").text_content() == text
        difference = chart(frame, "Difference").locator(".readout").text_content()
        assert difference == f"{run.layers[3]} × {run.layers[8]}: 0.000"
        assert "training has not finished" in second.locator(".note").inner_text()
        search = frame.get_by_label("Filter runs")
        search.fill("^wh")
        page.wait_for_timeout(300)
        assert frame.locator("main h2").all_inner_texts() == ["whole/svcca"]
        assert frame.locator(".difference").is_hidden()
        search.fill("(")
        page.wait_for_timeout(300)
        assert "Unterminated group" in frame.get_by_role("alert").inner_text()


def test_dark_mode_follows_the_host(browser, server):
    with tab(browser, server, ONE) as (page, frame):
        background = "root => getComputedStyle(root).backgroundColor"
        root = frame.locator(".svcca")
        assert root.evaluate(background) == "rgb(255, 255, 255)"
        page.evaluate("document.body.classList.add('dark-mode')")
        page.wait_for_timeout(300)
        assert root.evaluate(background) == "rgb(38, 40, 43)"


def test_what_is_exported_reads_back(browser, server, logs):
    run = Run(logs / "whole")
    end = pane(run, "final")
    with tab(browser, server, ONE) as (page, frame):
        _, *rows = csv.reader(io.StringIO(saved(page, frame, "Pane", "CSV").decode()))
        assert [row[0] for row in rows] == run.layers
        np.testing.assert_allclose(np.array([row[1:] for row in rows], float), end, atol=1e-5)
        head, *rows = csv.reader(io.StringIO(saved(page, frame, "Curves", "CSV").decode()))
        assert head == ["epoch", *run.layers]
        curves = np.column_stack([run.epochs, learning_dynamics(run)])
        np.testing.assert_allclose(np.array(rows, float), curves, atol=1e-5)
        picture = Image.open(io.BytesIO(saved(page, frame, "Pane", "PNG")))
        colours = np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)
        assert len(colours) > 50
        svg = ElementTree.fromstring(saved(page, frame, "Pane", "SVG"))
        space = "{http://www.w3.org/2000/svg}"
        cells = [title.text.split(": ") for title in svg.iter(f"{space}title")]
        pairs = [f"{row} × {column}" for row in run.layers for column in run.layers]
        assert [pair for pair, _ in cells] == pairs
        values = np.array([value for _, value in cells], float)
        np.testing.assert_allclose(values, end.values.ravel(), atol=1e-5)


def test_a_link_brings_back_the_view_and_the_view_makes_the_link(browser, server):
    link = ONE + "&p.svcca.epoch=3&p.svcca.reference=2&p.svcca.layer=c4&p.svcca.adjusted=true"
    with tab(browser, server, link) as (page, frame):
        assert frame.locator("output.time").inner_text() == "epoch 3 of 6"
        assert frame.get_by_role("combobox", name="Trajectory of").input_value() == "c4"
        assert frame.get_by_label("Epoch compared with").input_value() == "2"
        assert frame.get_by_label("chance as zero").is_checked()
        assert frame.locator("main h2").all_inner_texts() == ["whole/svcca"]
        frame.get_by_role("combobox", name="Trajectory of").select_option("c5")
        page.wait_for_timeout(600)
        assert "p.svcca.layer=c5" in page.url
        assert "p.svcca.epoch=3" in page.url
        page.evaluate("location.hash = '#svcca&p.svcca.epoch=1'")  # as one that is pasted
        frame.locator("output.time", has_text="epoch 1 of 6").wait_for()
        page.evaluate("location.hash = '#scalars'")
        page.evaluate("location.hash = '#svcca'")
        assert frame.locator("output.time").inner_text() == "epoch 1 of 6"


def test_it_works_with_the_keyboard_alone_and_everything_has_a_name(browser, server, logs):
    run = Run(logs / "whole")
    with tab(browser, server, ONE) as (page, frame):
        figure = chart(frame, "Pane")
        figure.locator("canvas").nth(1).focus()
        for key in ("ArrowUp", "ArrowUp", "ArrowRight"):
            page.keyboard.press(key)
        text = figure.locator(".readout").text_content()
        assert text.startswith(f"{run.layers[1]} × {run.layers[1]}: ")
        page.keyboard.press("Enter")
        page.wait_for_timeout(200)
        pinned = f"{run.layers[1]} × {run.layers[1]}"
        assert pinned in saved(page, frame, "Curves", "CSV").decode().splitlines()[0]
        frame.get_by_title(f"Unpin {pinned}").click()
        nameless = frame.locator(".svcca").evaluate(
            "root => [...root.querySelectorAll('input, select, button, canvas[tabindex]')]"
            ".filter(e => !e.hidden && !(e.labels?.length) && !e.getAttribute('aria-label')"
            " && !e.textContent.trim()).map(e => e.outerHTML)"
        )
        assert nameless == []
        table = frame.locator("details table").first
        frame.locator("summary").first.click()
        rows = table.locator("tbody tr").all_inner_texts()
        settled = convergence(run)
        for text, name in zip(rows, run.layers[::-1], strict=True):
            shown, area, epoch, chance = text.split("\t")
            known = settled.sel(layer=name)
            assert shown == name
            assert float(epoch) == float(known["convergence_epoch"])
            assert float(area) == pytest.approx(float(known["area_under_curve"]), abs=1e-3)
            assert float(chance) == pytest.approx(float(known["chance_level"]), abs=1e-3)


@pytest.mark.parametrize("width", [1000, 1920])
def test_it_fits_the_window(browser, server, width):
    with tab(browser, server, width=width) as (_, frame):
        root = frame.locator("html")
        assert root.evaluate("e => e.scrollWidth <= e.clientWidth")


def test_chance_levels_are_those_of_the_package(browser, server):
    cases = [
        (measure, n, p, q)
        for measure in ("svcca", "cca_r2", "cka", "cka_debiased")
        for n, p, q in (
            *((50, 1, 1), (50, 1, 7), (10, 7, 6), (9999, 10, 9), (60, 32, 33), (9, 3, 8)),
            *((1000, 256, 256), (200, 30.5, 64), (60, 50, 40), (40000, 33, 35)),
            *((40, 13, 13), (40, 13, 26), (300, 16, 16), (2000, 20, 60)),
        )
    ]
    with page_of(browser, f"{server.url}/data/plugin_entry.html?name=svcca") as page:
        found = page.evaluate(
            "cases => import('./plugin/svcca/chance.js')"
            ".then(({chanceLevel}) => cases.map(c => chanceLevel(...c)))",
            cases,
        )
    for (measure, n, p, q), value in zip(cases, found, strict=True):
        known = chance_level(measure, n_samples=n, dims_x=p, dims_y=q)
        estimated = measure == "svcca" and 12 < min(p, q) <= 32
        tolerance = 1e-3 if estimated else 5e-5  # views show three digits
        assert value == pytest.approx(known, abs=tolerance), (measure, n, p, q)
