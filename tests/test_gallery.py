"""The pictures of the tab and of the report in the README, taken in headless Chromium.

Of a small run, and thrown away; those of the README are of the conv net on CIFAR-10:

    SVCCA_GALLERY=logs/cifar10_convnet pytest tests/test_gallery.py
"""

import os
from pathlib import Path

import numpy as np
import pytest
from browser import needs_chromium, page_of
from PIL import Image
from tensorboard_server import serving, until

from svcca_monitor import Run
from svcca_monitor.report import write_report

GALLERY = Path(__file__).parents[1] / "examples/gallery"
SIZE = {"width": 1400, "height": 860}
LINK = "p.svcca.epoch=4"


@pytest.fixture(scope="module")
def pictures(browser, trained, tmp_path_factory):
    """Folder with tab_light.png, tab_dark.png and report.png."""
    log_dir = os.environ.get("SVCCA_GALLERY", trained[0])
    folder = GALLERY if "SVCCA_GALLERY" in os.environ else tmp_path_factory.mktemp("gallery")
    report = tmp_path_factory.mktemp("report") / "report.html"
    write_report([Run(log_dir)], report)
    with serving(log_dir) as server:
        until(lambda: "svcca/final" in str(server.ask("svcca/tags")))
        with page_of(browser, f"{server.url}/#svcca&{LINK}", **SIZE) as page:
            frame = page.frame_locator("iframe").first
            drawn(page, frame)
            page.screenshot(path=folder / "tab_light.png")
            page.evaluate("document.body.classList.add('dark-mode')")
            drawn(page, frame)
            page.screenshot(path=folder / "tab_dark.png")
        with page_of(browser, f"{report.as_uri()}#{LINK}", **SIZE) as page:
            drawn(page, page)
            page.screenshot(path=folder / "report.png", full_page=True)
    return folder


def drawn(page, frame):
    """Wait until the charts stand, and let the cursor say something."""
    frame.locator("output.time", has_text="of").wait_for()
    page.wait_for_timeout(1500)
    canvas = frame.locator("figure.chart:not(.small) canvas[tabindex]").first
    x, y, width, height = map(float, canvas.get_attribute("data-area").split())
    canvas.hover(position={"x": x + 0.62 * width, "y": y + 0.34 * height})
    page.wait_for_timeout(300)


@needs_chromium
@pytest.mark.parametrize(
    ("name", "dark"), [("tab_light.png", False), ("tab_dark.png", True), ("report.png", False)]
)
def test_pictures_show_coloured_panes_on_the_background_of_the_theme(pictures, name, dark):
    picture = np.asarray(Image.open(pictures / name).convert("RGB")).astype(int)
    assert picture.shape[1] == 1400
    pixels, times = np.unique(picture[100:].reshape(-1, 3), axis=0, return_counts=True)
    background = pixels[np.argmax(times)]
    assert (background.max() < 80) if dark else (background.min() > 230)
    vivid = times[np.ptp(pixels, axis=1) > 60].sum() / times.sum()
    assert vivid > 0.1  # panes in viridis, curves in plasma
