"""What is chosen in the view, by pointer and by keyboard: runs, epochs, layers, a difference."""

import io
import json
import urllib.parse

import numpy as np
import pytest
from browser import needs_chromium, page_of
from PIL import Image
from tab_page import chart, point_at, saved

from svcca_monitor import LayerInfo, ProbeSet, Run, Subspace, pane
from svcca_monitor.report import write_report

pytestmark = needs_chromium

NAMES = ("low", "mid", "high")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs a, b and c of four epochs, the last one by another measure."""
    folder, rng = tmp_path_factory.mktemp("choices"), np.random.default_rng(0)
    probe = ProbeSet(rng.normal(size=(40, 3)))
    infos = [LayerInfo(name, "Dense", i, (None, 4), "mean") for i, name in enumerate(NAMES)]
    made = {}
    for name, measure in (("a", "svcca"), ("b", "svcca"), ("c", "cka")):
        made[name] = Run.create(folder / name, infos, probe, measure=measure)
        for epoch in range(4):
            layers = {layer: Subspace.from_activations(rng.normal(size=(40, 4))) for layer in NAMES}
            made[name].write_snapshot(epoch, layers, epoch=epoch)
    return made


@pytest.fixture(scope="module")
def url(runs, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    return write_report(list(runs.values()), path).as_uri()


@pytest.fixture
def page(browser, url):
    with page_of(browser, url, width=1000) as page:
        at(page, 3)
        page.wait_for_timeout(300)
        yield page


def at(page, epoch):
    page.locator("output.time", has_text=f"epoch {epoch} of 3").wait_for()


def shown(page):
    page.wait_for_timeout(200)
    return page.locator("main h2").all_inner_texts()


def linked(page, key):
    """What the address says of a choice."""
    page.wait_for_timeout(600)
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(page.url).fragment)
    return query.get(f"p.svcca.{key}", [None])[0]


def test_boxes_choose_the_runs_and_the_address_says_which(page):
    assert shown(page) == ["a", "b"]  # at first; more would take long to load
    page.get_by_role("checkbox", name="a", exact=True).uncheck()
    assert shown(page) == ["b"]
    page.get_by_role("checkbox", name="c", exact=True).check()
    assert shown(page) == ["b", "c"]
    assert sorted(json.loads(linked(page, "runs"))) == ["b", "c"]
    page.get_by_role("checkbox", name="b", exact=True).uncheck()
    page.get_by_role("checkbox", name="c", exact=True).uncheck()
    page.get_by_text("No run is chosen.").wait_for()


def test_the_keyboard_stays_where_it_is_when_runs_are_chosen_and_pins_taken_away(page):
    focused = "document.activeElement.parentElement.textContent.trim()"
    page.get_by_role("checkbox", name="b", exact=True).focus()
    for runs in (["a"], ["a", "b"]):
        page.keyboard.press("Space")
        assert shown(page) == runs
        assert page.evaluate(focused) == "b"
    chart(page, "Pane").locator("canvas[tabindex]").focus()
    for key in ("ArrowUp", "Enter", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    page.get_by_title("Unpin low × low").focus()
    page.keyboard.press("Enter")
    page.wait_for_timeout(200)
    assert page.evaluate("document.activeElement.title") == "Unpin low × mid"
    page.keyboard.press("Enter")
    page.wait_for_timeout(200)
    assert page.evaluate("document.activeElement.className") == "play"


def test_the_difference_is_of_the_runs_that_are_chosen_for_it(page, runs):
    for name, key in (("b", "first"), ("a", "second")):
        page.get_by_label(f"Difference: {key} run").select_option(name)
    text = point_at(page, "Difference", 1, 2, 3, 3).replace("−", "-")
    expected = float(pane(runs["b"], 3)[1, 2] - pane(runs["a"], 3)[1, 2])
    assert float(text.removeprefix("mid × high: ")) == pytest.approx(expected, abs=1e-3)
    assert (linked(page, "first"), linked(page, "second")) == ("b", "a")
    page.get_by_role("checkbox", name="c", exact=True).check()
    page.get_by_label("Difference: second run").select_option("c")
    assert linked(page, "second") == "c"
    page.reload()
    at(page, 3)
    assert page.get_by_label("Difference: first run").input_value() == "b"
    assert page.get_by_label("Difference: second run").input_value() == "c"
    page.get_by_text("Of two measures: svcca and cka.").wait_for()


def test_enter_goes_to_the_epoch_and_the_layer_under_the_mark(page):
    layer = page.get_by_role("combobox", name="Trajectory of")

    def press(title, *keys):
        chart(page, title).locator("canvas[tabindex]").focus()
        for key in (*keys, "Enter"):
            page.keyboard.press(key)

    assert layer.input_value() == "high"
    press("Convergence", "ArrowUp", "ArrowUp", "ArrowRight", "ArrowRight")
    at(page, 2)
    assert layer.input_value() == "mid"
    press("Trajectory", "ArrowUp", "ArrowUp")  # the row tells the epoch
    at(page, 1)
    press("Curves", "ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowLeft")
    at(page, 0)
    assert layer.input_value() == "low"


def test_what_is_pointed_at_in_one_run_is_marked_in_all(page, runs):
    point_at(page, "Pane", 0, 2, 3, 3)
    readouts = page.locator("figure:not(.small):has(h3:has-text('Pane')) .readout")
    for name, text in zip("ab", readouts.all_text_contents(), strict=True):
        value = float(pane(runs[name], 3)[0, 2])
        assert text.startswith(f"low × high: svcca {value:.3f}")
    point_at(page, "Convergence", 1, 2, 3, 4)
    readouts = page.locator("figure:has(h3:has-text('Curves')) .readout").all_text_contents()
    assert [text.partition(": ")[0] for text in readouts] == ["mid at epoch 2"] * 2


def test_a_saved_picture_bears_its_title(page):
    picture = Image.open(io.BytesIO(saved(page, page, "Pane", "PNG"))).convert("L")
    strip = np.asarray(picture)[4:20, 8:200]
    assert (strip < 100).sum() > 50, "dark letters on white"
    assert (strip > 240).sum() > strip.size / 2


CLEAR = """() => {
  const { bottom } = document.querySelector('header').getBoundingClientRect();
  const { activeElement } = document;
  const inside = document.querySelector('main').contains(activeElement);
  return !inside || activeElement.getBoundingClientRect().top >= bottom - 1;
}"""


def test_what_has_the_focus_is_never_below_the_header(page):
    page.set_viewport_size({"width": 700, "height": 700})
    pins = json.dumps([{"row": row, "column": column} for row in NAMES for column in NAMES])
    page.evaluate("pins => { location.hash = `#p.svcca.pins=${pins}`; }", pins)
    page.wait_for_function("document.querySelector('header').offsetHeight > 160")
    page.locator("main .exports button").last.focus()
    assert page.evaluate(CLEAR)
    for _ in range(30):
        page.keyboard.press("Shift+Tab")
        page.wait_for_function(CLEAR, timeout=5000)
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")
