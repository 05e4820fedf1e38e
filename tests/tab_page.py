"""The tab in a page of TensorBoard: its frame, its charts and what they say."""

import re
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

from browser import page_of

from svcca_monitor.report import STATIC


@contextmanager
def tab(browser, server, link="", query="", **options):
    """The tab's frame, once it has drawn."""
    with page_of(browser, f"{server.url}/{query}#svcca{link}", **options) as page:
        frame = page.frame_locator("iframe").first
        frame.locator(".chart canvas").first.wait_for(timeout=30000)
        frame.locator("output.time", has_text="of").wait_for(timeout=30000)
        page.wait_for_timeout(500)
        yield page, frame


def chart(frame, title):
    """The first chart whose title begins so."""
    return frame.locator(f"figure.chart:not(.small):has(h3:has-text('{title}'))").first


def point_at(frame, title, i, j, n, m):
    """Point at cell (i, j) of an n × m heat map; returns what is said of it."""
    figure = chart(frame, title)
    canvas = figure.locator("canvas").nth(1)
    canvas.scroll_into_view_if_needed()
    x, y, width, height = map(float, canvas.get_attribute("data-area").split())
    place = {"x": x + (j + 0.5) * width / m, "y": y + height - (i + 0.5) * height / n}
    canvas.hover(position=place)
    return figure.locator(".readout").text_content()


def said(text, word="svcca"):
    """The number after a word in a line such as `c1 × c2: svcca 0.734 · chance 0.120`."""
    found = re.search(rf"{word} (−?[0-9.]+)", text)
    assert found, text
    return float(found.group(1).replace("−", "-"))


def saved(page, frame, title, kind):
    with page.expect_download() as download:
        chart(frame, title).get_by_role("button", name=f"as {kind}").click()
    return download.value.path().read_bytes()


class Quiet(SimpleHTTPRequestHandler):
    """Writes no log."""

    def log_message(self, *args):
        pass


@contextmanager
def static_files():
    """URL of the view's modules, without a TensorBoard; it shows the list of the folder."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=STATIC)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
