"""How the view loads runs, with a source that answers when, and as, the test says."""

import base64

import numpy as np
import pytest
from browser import needs_chromium, page_of
from tab_page import static_files

from svcca_monitor.tensorboard import frames

pytestmark = needs_chromium

# Requests wait in `asked` until the test answers them, or refuses.
START = """async (frames) => {
  const { App } = await import('/app.js');
  document.body.replaceChildren(document.createElement('div'));
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
  const described = (step) => ({
    tags: {'svcca/layers': step}, layers: ['a', 'b'], measure: 'cka', n_samples: 10,
  });
  window.step = 0;
  window.asked = [];
  const source = {
    live: false,
    list: async () => ({bad: described(window.step), good: described(window.step)}),
    frames: (run, tag, since) => new Promise((answer, refuse) => window.asked.push({
      run, since, refuse: (why) => refuse(new Error(why)),
      answer: () => answer(bytes(frames[since < 0 ? window.restarted ?? 0 : 1])),
    })),
  };
  const host = {
    read: () => ({}), write() {}, visible: () => true, theme: () => 'light',
    onTheme() {}, onReload() {}, onLink() {},
  };
  window.app = new App(document.body.firstChild, source, host);
}"""


@pytest.fixture(scope="module")
def url():
    with static_files() as url:
        yield url


@pytest.fixture
def page(browser, url):
    """The view, which has asked for the first frames of two runs."""
    again = np.array([[1, 0.25], [0.25, 1]])
    encoded = [
        base64.b64encode(frames.encode([step], [matrix])).decode()
        for step, matrix in ((0, np.eye(2)), (1, np.eye(2)), (0, again))
    ]
    with page_of(browser, url) as page:
        page.evaluate(START, encoded)
        page.wait_for_function("asked.length === 2")
        yield page


def steps(page, run):
    return page.evaluate(f"app.views.get('{run}').run.steps")


def test_a_run_that_cannot_be_read_is_told_and_others_are_shown(page):
    page.evaluate("asked.find(({run}) => run === 'bad').refuse('its file is damaged')")
    page.evaluate("asked.find(({run}) => run === 'good').answer()")
    page.get_by_text("The data could not be read: its file is damaged").wait_for()
    assert page.locator("main h2").all_inner_texts() == ["good"]
    page.evaluate("asked.length = 0; void app.load()")
    page.wait_for_function("asked.length === 1")
    page.evaluate("asked[0].answer()")
    page.locator("main h2", has_text="bad").wait_for()
    assert page.locator(".message").is_hidden()


def test_no_step_comes_twice_when_one_run_fails_while_another_loads(page):
    page.evaluate("asked.find(({run}) => run === 'bad').refuse('no')")
    page.wait_for_timeout(100)
    page.evaluate("void app.load()")
    page.wait_for_timeout(100)
    page.evaluate("asked.forEach(({answer}) => answer())")
    page.wait_for_timeout(200)
    page.evaluate("asked.forEach(({answer}) => answer())")
    page.wait_for_timeout(200)
    assert steps(page, "good") == [0]
    assert steps(page, "bad") == [0]  # asked for again, as loading was asked for meanwhile


def test_only_steps_that_are_new_are_asked_for(page):
    page.evaluate("asked.forEach(({answer}) => answer())")
    page.locator("main h2", has_text="good").wait_for()
    page.evaluate("asked.length = 0; void app.load()")
    page.wait_for_timeout(100)
    assert page.evaluate("asked.length") == 0
    page.evaluate("window.step = 1; void app.load()")
    page.wait_for_function("asked.length === 2")
    assert page.evaluate("asked.map(({since}) => since)") == [0, 0]
    page.evaluate("asked.forEach(({answer}) => answer())")
    page.locator("output.time", has_text="epoch 1 of 1").wait_for()
    assert steps(page, "good") == [0, 1]


def test_a_run_that_started_again_replaces_what_it_was(page):
    page.evaluate("asked.forEach(({answer}) => answer())")
    page.locator("main h2", has_text="good").wait_for()
    page.evaluate("asked.length = 0; window.step = 1; void app.load()")
    page.wait_for_function("asked.length === 2")
    page.evaluate("asked.forEach(({answer}) => answer())")
    page.locator("output.time", has_text="epoch 1 of 1").wait_for()
    page.evaluate("asked.length = 0; window.step = 0; window.restarted = 2; void app.load()")
    page.wait_for_function("asked.length === 2")
    assert page.evaluate("asked.map(({since}) => since)") == [-1, -1]
    page.evaluate("asked.forEach(({answer}) => answer())")
    page.locator("output.time", has_text="epoch 0 of 0").wait_for()
    assert steps(page, "good") == [0]
    page.wait_for_timeout(200)
    for pane in page.locator("section").first.locator("figure:has(h3:has-text('epoch 0'))").all():
        pane.locator("canvas[tabindex]").focus()
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowRight")
        assert pane.locator(".readout").text_content().startswith("a × b: cka 0.250")


def test_at_the_end_the_view_follows_what_is_still_to_come(page):
    page.evaluate("asked.forEach(({answer}) => answer())")
    page.locator("main h2", has_text="good").wait_for()
    page.evaluate("asked.length = 0; window.step = 1; void app.load()")
    page.wait_for_function("asked.length === 2")
    page.evaluate("asked.forEach(({answer}) => answer())")
    page.locator("output.time", has_text="epoch 1 of 1").wait_for()
    page.keyboard.press("Home")
    page.locator("output.time", has_text="epoch 0 of 1").wait_for()
    page.keyboard.press("End")
    page.locator("output.time", has_text="epoch 1 of 1").wait_for()
    assert page.evaluate("app.state.epoch") is None  # wherever the end will be
    slider = page.get_by_label("Epoch", exact=True)
    assert slider.get_attribute("aria-valuetext") == "epoch 1 of 1"


def test_epochs_are_read_aloud_one_by_one_but_not_while_they_play(page):
    time = page.locator("output.time")
    page.evaluate("app.draw()")
    page.wait_for_timeout(100)
    assert time.get_attribute("aria-live") == "polite"
    page.evaluate("app.playing = true; app.draw()")
    page.wait_for_timeout(100)
    assert time.get_attribute("aria-live") == "off"
