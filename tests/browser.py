"""A real headless Chromium, and what it complains about."""

import os
from contextlib import contextmanager
from pathlib import Path

import pytest

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    *("--headless --no-sandbox --disable-gpu --disable-quic --no-first-run".split()),
    *("--disable-background-networking --disable-component-update --disable-sync".split()),
]
needs_chromium = pytest.mark.skipif(
    not Path(CHROMIUM).exists(), reason=f"no Chromium at {CHROMIUM}: apt-get install chromium"
)


@contextmanager
def chromium():
    """A browser; its pages must not reach beyond loopback."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


# TensorBoard's own page says this of itself; what fails to load is seen by its answer below.
OF_THE_HOST = ("Multiple instances of Three.js", "Failed to load resource")


# What a Content-Security-Policy forbids, in the page and in the frames of it.
VIOLATIONS = """document.addEventListener('securitypolicyviolation', (event) =>
  window.violated(`policy: ${event.violatedDirective} ${event.blockedURI}`));"""


@contextmanager
def page_of(browser, url, *, width=1400, height=1000, **options):
    """A page, of which nothing may go wrong: no error, no violation, no request elsewhere."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, accept_downloads=True, **options
    )
    page = context.new_page()
    page.set_default_timeout(30000)
    page.complaints = []
    page.on(
        "console",
        lambda m: (
            page.complaints.append(f"{m.type}: {m.text}")
            if m.type in ("error", "warning") and not any(known in m.text for known in OF_THE_HOST)
            else None
        ),
    )
    page.on("pageerror", lambda error: page.complaints.append(f"exception: {error}"))
    own = ("http://127.0.0.1", "file:", "data:", "blob:")
    page.on(
        "request",
        lambda r: None if r.url.startswith(own) else page.complaints.append(f"request: {r.url}"),
    )
    page.on(
        "response",
        lambda r: (
            page.complaints.append(f"{r.status}: {r.url}")
            if r.status >= 400 and "/plugin/svcca/" in r.url
            else None
        ),
    )
    page.expose_function("violated", lambda text: page.complaints.append(text))
    context.add_init_script(VIOLATIONS)
    page.goto(url)
    try:
        yield page
        if page.complaints:
            raise AssertionError(page.complaints)
    finally:
        context.close()
