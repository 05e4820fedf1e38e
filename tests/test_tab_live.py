"""The tab and what goes on around it: training, reloads, other tabs, steps that are left out."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from browser import needs_chromium
from tab_frames import decode
from tab_page import chart, point_at, said, tab
from tensorboard_server import serving, until

from svcca_monitor import Run, trajectory
from svcca_monitor.tensorboard.board import Board

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def server(trained):
    with serving(trained[0]) as server:
        until(lambda: "svcca/final" in str(server.ask("svcca/tags")))
        yield server


def test_play_stops_while_another_tab_is_looked_at(browser, server):
    with tab(browser, server) as (page, frame):
        frame.get_by_label("Epoch", exact=True).press("Home")
        frame.get_by_role("button", name="Play").click()
        frame.locator("output.time", has_text="epoch 1 of 6").wait_for()
        page.evaluate("location.hash = '#images'")
        page.wait_for_timeout(2500)
        page.evaluate("location.hash = '#svcca'")
        frame.get_by_role("button", name="Play").wait_for()
        assert frame.locator("output.time").inner_text() in ("epoch 1 of 6", "epoch 2 of 6")


def test_a_reload_of_the_page_around_it_is_followed_at_once(browser, server):
    with tab(browser, server) as (page, _):
        with page.expect_request("**/plugin/svcca/tags", timeout=10000):
            pass  # what it asks for by itself, every five seconds
        with page.expect_request("**/plugin/svcca/tags", timeout=3000):
            page.locator("button.reload-button").click()


def test_grey_cells_of_a_trajectory_are_explained(browser, tmp_path):
    board = Board(tmp_path / "svcca", "svcca", ["low", "high"], 100)
    facts = {"chance": [0.1, 0.1], "dims": np.array([3.0, 4.0])}
    for epoch in range(4):
        history = np.full((2, epoch), 0.7)
        history[:, : max(0, epoch - 2)] = np.nan  # the memory of this monitor holds two
        board.snapshot(epoch, np.eye(2), history, first=not epoch, epoch=epoch, **facts)
    why = "grey: not compared (no longer in memory, left out by sampling, or constant)"
    with serving(tmp_path) as server:
        until(lambda: server.ask("svcca/tags"))
        with tab(browser, server) as (_, frame):
            assert chart(frame, "Trajectory").locator(".readout").text_content() == why
            text = point_at(frame, "Trajectory", 3, 0, 4, 4)
            assert text == f"high, epoch 3 × epoch 0: {why}"
            assert said(point_at(frame, "Trajectory", 3, 2, 4, 4)) == pytest.approx(0.7)


def test_it_says_when_steps_are_missing_with_either_loader_and_behind_a_prefix(browser, trained):
    options = ["--load_fast=false", "--path_prefix=/a/b", "--samples_per_plugin", "svcca=4"]
    with serving(trained[0], *options) as server:
        server.url = server.url.removesuffix("/a/b") + "/a/b"
        until(lambda: server.ask("svcca/tags").get("svcca", {}).get("tags", {}).get("svcca/final"))
        with tab(browser, server) as (_, frame):
            assert "3 steps are missing" in frame.locator(".note").first.inner_text()
            run, query = Run(trained[0]), {"run": "svcca", "tag": "svcca/layers"}
            shown = list(decode(server.ask("svcca/frames", **query))[0])
            past = trajectory(run, run.layers[-1]).sel(step=shown, other_step=shown)
            numbers = []
            for k in range(4):
                text = point_at(frame, "Trajectory", 3, k, 4, 4)
                assert f"epoch {shown[3]} × epoch {shown[k]}" in text
                if "not compared" not in text:  # what was left out is unknown, and never another's
                    assert said(text) == pytest.approx(float(past[3, k]), abs=1e-3)
                    numbers.append(k)
            assert len(numbers) >= 2


def test_new_epochs_appear_while_a_process_trains(browser, tmp_path):
    command = [sys.executable, "-c", "from svcca_monitor.cli import app; app()", "run"]
    sets = ["--set", "training.epochs=100", "--log-dir", str(tmp_path / "live")]
    config = str(Path(__file__).parents[1] / "configs/digits.yaml")
    training = subprocess.Popen([*command, config, *sets], stdout=subprocess.DEVNULL)
    try:
        with serving(tmp_path, "--reload_interval=1") as server:
            until(lambda: "svcca/history" in str(server.ask("svcca/tags")), 120)
            with tab(browser, server) as (page, frame):
                slider = frame.get_by_label("Epoch", exact=True)
                before = int(slider.get_attribute("max"))
                deadline = 60
                while int(slider.get_attribute("max")) < before + 2:
                    page.wait_for_timeout(1000)
                    deadline -= 1
                    assert deadline, "no new epoch appeared"
                assert frame.locator("output.time").inner_text().startswith("epoch ")
                assert "training has not finished" in frame.locator(".note").first.inner_text()
    finally:
        training.kill()
        training.wait()
