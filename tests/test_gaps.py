"""What the view makes of steps that TensorBoard left out, or that are still on their way."""

import base64

import numpy as np
import pytest
from browser import needs_chromium, page_of
from tab_page import chart, point_at, static_files

from svcca_monitor.tensorboard import frames

pytestmark = needs_chromium

# A run of one source; what ends in `final` waits until the test lets it go.
START = """async (frames) => {
  const { App } = await import('/app.js');
  document.body.replaceChildren(document.createElement('div'));
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
  const released = new Promise((go) => { window.release = go; });
  const tags = Object.fromEntries(Object.keys(frames).map((tag) => [tag, 2]));
  const source = {
    live: false,
    list: async () => ({run: {tags, layers: ['a', 'b'], measure: 'cka', n_samples: 10}}),
    frames: async (run, tag) => {
      if (tag === 'svcca/final') await released;
      return bytes(frames[tag]);
    },
  };
  const host = {
    read: () => ({}), write() {}, visible: () => true, theme: () => 'light',
    onTheme() {}, onReload() {}, onLink() {},
  };
  window.app = new App(document.body.firstChild, source, host);
}"""


def encoded(series):
    raw = frames.encode(list(series), list(series.values()))
    return base64.b64encode(raw).decode()


@pytest.fixture(scope="module")
def page(browser):
    with static_files() as url, page_of(browser, url) as page:
        yield page


def test_a_pane_that_was_left_out_is_grey_and_no_other_stands_in_for_it(page):
    now = dict.fromkeys(range(3), np.array([[1, 0.25], [0.25, 1]]))
    end = {step: np.full((2, 2), 0.5) for step in (0, 2)}
    page.evaluate(START, {"svcca/layers": encoded(now), "svcca/final": encoded(end)})
    note = page.locator(".note").first
    note.get_by_text("the comparison with the end is on its way").wait_for()
    assert "training has not finished" not in note.inner_text()
    settled = "[...app.views.values()][0].curveData.settled"
    assert page.evaluate(settled) == []  # nobody knows yet
    page.evaluate("release()")
    page.locator("h3", has_text="Pane: epoch 2 × the end").wait_for()
    assert "on its way" not in note.inner_text()
    assert len(page.evaluate(settled)) == 2
    assert point_at(page, "Pane", 0, 1, 2, 2).startswith("a × b: cka 0.500")
    page.keyboard.press(",")
    page.locator("h3", has_text="Pane: epoch 1 × the end").wait_for()
    page.wait_for_timeout(100)
    assert point_at(page, "Pane", 0, 1, 2, 2).startswith("a × b: cka unknown")
    canvas = chart(page, "Pane").locator("canvas")
    x, y, *_ = map(float, canvas.nth(1).get_attribute("data-area").split())
    pixel = "(canvas, at) => [...canvas.getContext('2d').getImageData(...at, 1, 1).data]"
    assert canvas.first.evaluate(pixel, [int(x) + 9, int(y) + 9]) == [128, 128, 128, 255]


EPOCHS = """async ([steps, known]) => {
  const { Run } = await import('/run.js');
  const { Frame } = await import('/frames.js');
  const run = new Run('r', {layers: ['a'], measure: 'cka', n_samples: 9, tags: {}});
  run.add('epoch', known.map(([step, epoch]) => new Frame(step, 1, 1, false, [epoch])));
  run.add('layers', steps.map((step) => new Frame(step, 1, 1, true, [1])));
  return run.epochs;
}"""


@pytest.mark.parametrize(
    ("steps", "known", "epochs"),
    [
        ([0, 5, 9], [], [0, 5, 9]),
        ([0, 10, 20], [(0, 0), (10, 1), (20, 2)], [0, 1, 2]),
        ([0, 5, 10, 15, 40], [(0, 0), (10, 1), (40, 7)], [0, 0.5, 1, 2, 7]),
        ([5, 10, 20], [(10, 1)], [0.5, 1, 2]),
        ([0, 3], [(0, 0)], [0, 3]),
    ],
)
def test_epochs_that_were_left_out_lie_between_their_neighbours(page, steps, known, epochs):
    assert page.evaluate(EPOCHS, [steps, known]) == epochs


SETTLED = """async (values) => {
  const { Run } = await import('/run.js');
  const { Frame } = await import('/frames.js');
  const run = new Run('r', {layers: ['a'], measure: 'none', n_samples: 9, tags: {}});
  const frames = values.map((value, step) => new Frame(step, 1, 1, false, [value ?? NaN]));
  run.add('layers', frames);
  run.add('final', frames);
  return run.settled()[0].epoch;
}"""


@pytest.mark.parametrize(
    ("values", "epoch"),
    [
        ([0.95, 0.5, 0.9, 1], 2),
        ([0.95, None, 0.95, 1], 2),  # what is unknown may have been anything
        ([0.95, 0.95, 0.95, None], None),
        ([0.1, 0.1, 0.1, 0.1], None),
        ([0.95, 0.95, 0.95, 1], 0),
    ],
)
def test_a_layer_has_settled_from_where_it_stays_close(page, values, epoch):
    found = page.evaluate(SETTLED, values)
    assert found == epoch or (epoch is None and np.isnan(found))


def test_colours_end_where_the_scale_ends_and_nan_is_grey(page):
    found = page.evaluate(
        "async () => { const { ADJUSTED } = await import('/colours.js');"
        " return [-0.3, 0, 1, 1.2, NaN].map((value) => ADJUSTED.css(value)); }"
    )
    assert found[:2] == ["rgb(68,1,84)"] * 2  # as far from chance, downwards
    assert found[2:4] == ["rgb(253,231,37)"] * 2
    assert found[4] == "rgb(128,128,128)"
