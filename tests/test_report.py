"""The report: one file, opened from the disk by a real browser."""

import re

import numpy as np
import pytest
from browser import needs_chromium, page_of
from test_cli import call

from svcca_monitor import LayerInfo, ProbeSet, Run, Subspace, convergence, pane
from svcca_monitor.report import _series, write_report

EVIL = "<img src=x onerror=alert(1)></script><script>alert(2)</script><!--"


def chart(page, title):
    return page.locator(f"figure.chart:not(.small):has(h3:has-text('{title}'))").first


@needs_chromium
def test_a_report_shows_the_numbers_and_facts_of_its_runs_offline(browser, trained, tmp_path):
    done = call("report", trained[0], trained[0], "-o", "view.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"Saved view\.html \([0-9.]+ MB\)\n", done.stdout)
    run, end = Run(trained[0]), pane(Run(trained[0]), "final")
    with page_of(browser, (tmp_path / "view.html").as_uri()) as page:
        page.locator("output.time", has_text="epoch 6 of 6").wait_for()
        page.wait_for_timeout(300)
        assert page.locator("main h2").all_inner_texts() == ["digits", "digits (2)"]
        canvas = chart(page, "Pane").locator("canvas").nth(1)
        canvas.focus()
        for key in ["ArrowRight"] + ["ArrowRight"] * 4 + ["ArrowUp"]:
            canvas.press(key)
        text = chart(page, "Pane").locator(".readout").text_content()
        assert text.startswith(f"{run.layers[1]} × {run.layers[4]}: svcca {float(end[1, 4]):.3f}")
        facts = page.locator("dl.facts").first.inner_text()
        assert run.probe_fingerprint in facts
        assert "convnet" in facts
        assert "s and 1." in facts  # the cost of a snapshot
        index = float(convergence(run)["bottom_up_index"])
        assert index < 0
        assert f"Bottom-up index\n−{-index:.2f} (p = " in facts  # a minus sign, as in the charts
        assert page.locator("table").first.is_visible()
        assert page.locator("table").first.locator("tbody tr").count() == len(run.layers)


def test_the_panes_of_a_report_are_those_of_the_run(trained):
    run = Run(trained[0])
    series = _series(run, run.steps, "svcca", {})
    for step in (run.steps[0], run.steps[2]):  # rows: layers now, columns: layers at the end
        np.testing.assert_allclose(series["svcca/final"][step], pane(run, step), atol=1e-6)
        np.testing.assert_allclose(series["svcca/layers"][step], pane(run, step, step), atol=1e-6)
    history = series["svcca/history"][run.steps[3]]
    for column, other in enumerate(run.steps[:3]):
        own = np.diagonal(pane(run, run.steps[3], other))
        np.testing.assert_allclose(history[:, column], own, atol=1e-6)


def test_a_layer_that_a_snapshot_lacks_is_unknown_there(tmp_path):
    rng = np.random.default_rng(0)
    infos = [LayerInfo(name, "Dense", i, (None, 4), "mean") for i, name in enumerate("ab")]
    run = Run.create(tmp_path / "run", infos, ProbeSet(rng.normal(size=(50, 3))), measure="svcca")
    for step in range(4):
        names = "a" if step == 1 else "ab"
        layers = {name: Subspace.from_activations(rng.normal(size=(50, 4))) for name in names}
        run.write_snapshot(step, layers, epoch=step)
    history = _series(run, run.steps, "svcca", {})["svcca/history"]
    np.testing.assert_array_equal(np.isnan(history[3]), [[False] * 3, [False, True, False]])
    np.testing.assert_array_equal(np.isnan(history[1]), [[False], [True]])


@needs_chromium
def test_names_are_shown_and_never_run(browser, tmp_path):
    rng = np.random.default_rng(0)
    probe = ProbeSet(rng.normal(size=(50, 3)))
    infos = [LayerInfo(name, "Dense", i, (None, 4), "mean") for i, name in enumerate((EVIL, "b"))]
    run = Run.create(tmp_path / "a<b>&lt;c", infos, probe, measure="svcca", model=EVIL)
    for step in range(3):
        layers = {i.name: Subspace.from_activations(rng.normal(size=(50, 4))) for i in infos}
        run.write_snapshot(step, layers, epoch=step)
    file = write_report([run], tmp_path / "evil.html")
    with page_of(browser, file.as_uri()) as page:
        page.on("dialog", lambda dialog: page.complaints.append(f"dialog: {dialog.message}"))
        page.locator("output.time", has_text="epoch 2 of 2").wait_for()
        chart(page, "Pane").locator("canvas").nth(1).focus()
        page.keyboard.press("ArrowUp")
        assert (
            chart(page, "Pane").locator(".readout").text_content().startswith(f"{EVIL} × {EVIL}: ")
        )
        assert EVIL in page.locator("table").inner_text()
        assert page.locator("h2").first.inner_text() == "a<b>&lt;c"
        assert page.title() == "SVCCA: a<b>&lt;c"
        assert page.locator("img").count() == 0


@needs_chromium
def test_a_layer_without_a_name_can_be_chosen_by_what_is_said_instead(browser, tmp_path):
    rng = np.random.default_rng(0)
    infos = [
        LayerInfo(name, "Dense", i, (None, 4), "mean") for i, name in enumerate(("", " ", "b"))
    ]
    run = Run.create(tmp_path / "run", infos, ProbeSet(rng.normal(size=(50, 3))), measure="svcca")
    for step in range(3):
        layers = {i.name: Subspace.from_activations(rng.normal(size=(50, 4))) for i in infos}
        run.write_snapshot(step, layers, epoch=step)
    file = write_report([run], tmp_path / "report.html")
    with page_of(browser, file.as_uri()) as page:
        chooser = page.get_by_role("combobox", name="Trajectory of")
        assert chooser.locator("option").all_inner_texts() == ["(no name)", "(no name)", "b"]
        for index, title in ((2, "b"), (0, "(no name)")):
            chooser.select_option(index=index)
            chart(page, f"Trajectory of {title}").wait_for()


@needs_chromium
def test_a_policy_that_is_violated_would_be_noticed(browser, tmp_path):
    policy = "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'\">"
    (tmp_path / "page.html").write_text(f"{policy}<img src='data:image/gif;base64,R0lGODlhAQ=='>")
    url = (tmp_path / "page.html").as_uri()
    with pytest.raises(AssertionError, match="policy: img-src"), page_of(browser, url) as page:
        page.wait_for_timeout(300)


def test_of_a_long_run_evenly_spaced_snapshots_are_shown(made_run, tmp_path):
    run = made_run(steps=tuple(range(12)))
    text = write_report([run], tmp_path / "r.html", most_steps=4).read_text("utf-8")
    assert "12, to epoch 11; 4 are shown here" in text


def test_what_cannot_be_reported_is_told(made_run, tmp_path):
    with pytest.raises(ValueError, match="at least one run. Received: none"):
        write_report([], tmp_path / "r.html")
    with pytest.raises(ValueError, match="`most_steps` must be at least 2"):
        write_report([made_run()], tmp_path / "r.html", most_steps=1)
    done = call("report", "nowhere", cwd=tmp_path)
    assert done.returncode == 1
    assert "No run in nowhere" in done.stderr
    assert not list(tmp_path.glob("*.html"))
