"""Pictures of the tab and of the report, for the README: of any run, in headless Chromium.

python tests/benchmarks/gallery.py LOG_DIR [examples/gallery]
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from browser import chromium, page_of
from tensorboard_server import serving, until

from svcca_monitor import Run
from svcca_monitor.report import write_report

SIZE = {"width": 1400, "height": 860}


def drawn(page, frame):
    """Wait until the charts stand, and let the cursor say something."""
    frame.locator("output.time", has_text="of").wait_for()
    page.wait_for_timeout(1500)
    canvas = frame.locator("figure.chart:not(.small) canvas[tabindex]").first
    x, y, width, height = map(float, canvas.get_attribute("data-area").split())
    canvas.hover(position={"x": x + 0.62 * width, "y": y + 0.34 * height})
    page.wait_for_timeout(300)


def main():
    log_dir, *rest = sys.argv[1:]
    folder = Path(rest[0] if rest else "examples/gallery")
    with chromium() as browser, serving(log_dir) as server:
        until(lambda: "svcca/final" in str(server.ask("svcca/tags")))
        with page_of(browser, f"{server.url}/#svcca&p.svcca.epoch=4", **SIZE) as page:
            frame = page.frame_locator("iframe").first
            drawn(page, frame)
            page.screenshot(path=folder / "tab_light.png")
            page.evaluate("document.body.classList.add('dark-mode')")
            drawn(page, frame)
            page.screenshot(path=folder / "tab_dark.png")
        with tempfile.TemporaryDirectory() as scratch:
            file = write_report([Run(log_dir)], Path(scratch) / "report.html")
            with page_of(browser, f"{file.as_uri()}#p.svcca.epoch=4", **SIZE) as page:
                page.locator("summary").first.wait_for(state="attached")
                page.locator("summary").first.click()
                drawn(page, page)
                page.screenshot(path=folder / "report.png", full_page=True)


if __name__ == "__main__":
    main()
