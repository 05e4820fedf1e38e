"""Runs of many layers and epochs: in parts, in two bytes a number, and read as if they were not."""

import numpy as np
import pytest
from browser import needs_chromium
from tab_frames import decode
from tab_page import point_at, said, tab
from tensorboard_server import serving, until

from svcca_monitor.tensorboard import parts, summary
from svcca_monitor.tensorboard.board import Board

LAYERS, EPOCHS = [f"layer_{i}" for i in range(parts.MANY + 2)], 30
UNIT = 0.5 / (2**15 - 1) + 1e-9  # what is written is at most half a unit away
MANY_STEPS = 130  # TensorBoard keeps 10 or 100 of a plugin that does not ask for more
SERIES = ("svcca/layers", "svcca/history", "svcca/final")


def test_a_series_goes_on_under_another_tag_after_so_many_numbers():
    names = [parts.part("svcca/layers", before) for before in (0, parts.PART - 1, parts.PART)]
    assert names == ["svcca/layers", "svcca/layers", "svcca/layers/1"]
    assert parts.part("svcca/layers", 12 * parts.PART + 5) == "svcca/layers/12"


def test_parts_are_gathered_in_the_order_of_their_numbers_and_other_tags_stay():
    series = ["a", "a/1", "a/2", "a/10"]
    others = ["b/1", "a/01", "a/0", "a/x", "a/1/y", "c\n", "c\n/1", "a/²"]
    found = parts.gathered([*series[::-1], *others])
    assert found.pop("a") == series
    assert found.pop("c\n") == ["c\n", "c\n/1"]
    assert found == {name: [name] for name in others if not name.startswith("c")}


def test_packed_similarities_come_back_to_half_a_unit():
    values = np.random.default_rng(0).uniform(-1, 1, (300, 40))
    values[0, :4] = np.nan, 1, 0, -1
    packed = parts.packed(values)
    assert packed.nbytes == 2 * values.size
    found = parts.unpacked(packed)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, values, rtol=0, atol=1.6e-5)  # nan is equal to nan
    np.testing.assert_array_equal(found[0, :4], [np.nan, 1, 0, -1])
    np.testing.assert_array_equal(parts.unpacked(np.float32([[0.5, np.nan]])), [[0.5, np.nan]])
    np.testing.assert_array_equal(parts.unpacked(parts.packed(np.array([1.0001, -9]))), [1, -1])


def test_few_layers_are_written_as_they_are(tmp_path, monkeypatch):
    written = {}
    for n in (parts.MANY, parts.MANY + 1):
        board = Board(tmp_path / str(n), "svcca", LAYERS[:n], 100)
        monkeypatch.setattr(
            board._writer, "add", lambda step, values, n=n: written.update({n: values})
        )
        board.snapshot(1, np.eye(n), np.ones((n, 1)), chance=[None] * n, first=False, epoch=1.0)
    kinds = {
        n: {value.tag: value.tensor.dtype for value in values if value.tag in SERIES}
        for n, values in written.items()
    }
    float32, int16 = 1, 5  # as types.proto numbers them
    assert kinds[parts.MANY] == dict.fromkeys(SERIES[:2], float32)
    assert kinds[parts.MANY + 1] == dict.fromkeys(SERIES[:2], int16)


@pytest.fixture(scope="module")
def series():
    """{tag: {step: matrix}} of a run; some of its history is unknown."""
    rng, n = np.random.default_rng(0), len(LAYERS)
    made = {tag: {} for tag in SERIES}
    for step in range(EPOCHS):
        pane = rng.uniform(0, 1, (n, n))
        made["svcca/layers"][step] = (pane + pane.T) / 2
        made["svcca/final"][step] = rng.uniform(-0.1, 1, (n, n))
        made["svcca/history"][step] = rng.uniform(0, 1, (n, step))
    made["svcca/history"][20][3, 5] = np.nan
    del made["svcca/history"][0]
    return made


@pytest.fixture(scope="module", params=["true", "false"])
def server(request, series, tmp_path_factory):
    """A TensorBoard over that run, which is in many parts."""
    folder, facts = tmp_path_factory.mktemp("long"), {"chance": [0.2] * len(LAYERS)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "PART", 20_000)
        board = Board(folder / "svcca", "svcca", LAYERS, 200)
        for step, pane in series["svcca/layers"].items():
            past = series["svcca/history"].get(step, np.empty((len(LAYERS), 0)))
            dims = np.full(len(LAYERS), 10.0)
            board.snapshot(step, pane, past, first=not step, epoch=step, dims=dims, **facts)
        board.final(series["svcca/final"].items(), **facts)
    many = Board(folder / "many", "svcca", ["a", "b"], 200)
    for step in range(MANY_STEPS):
        past = np.ones((2, step))
        many.snapshot(step, np.eye(2), past, chance=[0.2] * 2, first=not step)
    with serving(folder, f"--load_fast={request.param}") as server:

        def loaded():
            found = server.ask("svcca/tags")
            last = [found.get(run, {}).get("tags", {}) for run in ("svcca", "many")]
            ends = last[0].get("svcca/final"), last[1].get("svcca/history")
            return ends == (EPOCHS - 1, MANY_STEPS - 1)

        until(loaded)
        yield server


def test_the_parts_of_a_series_are_asked_for_one_after_another(server, series):
    described = server.ask("svcca/tags")["svcca"]
    names = {*SERIES, summary.EPOCH_TAG, summary.DIMS_TAG}
    assert described["tags"] == dict.fromkeys(names, EPOCHS - 1)
    assert set(described["times"]) == names
    for tag in SERIES:
        found, since, rest, answers = {}, -1, 1, 0
        while rest:
            frames, head = decode(server.ask("svcca/frames", run="svcca", tag=tag, since=since))
            size = sum(frame.size for frame in frames.values())
            assert size < 20_000 + len(LAYERS) ** 2, "an answer is no more than a part"
            found.update(frames)
            since, rest, answers = max(frames), head["rest"], answers + 1
        assert answers >= 2
        assert list(found) == list(series[tag])
        for step, matrix in series[tag].items():
            np.testing.assert_allclose(found[step], matrix, rtol=0, atol=UNIT + 1e-7)


def test_every_step_of_a_long_run_is_there(server):
    for tag, first in (("svcca/layers", 0), ("svcca/history", 1)):
        frames, _ = decode(server.ask("svcca/frames", run="many", tag=tag))
        assert list(frames) == list(range(first, MANY_STEPS))


def test_a_limit_holds_within_a_part_and_parts_have_no_name_of_their_own(server):
    query = {"run": "svcca", "tag": "svcca/layers"}
    frames, head = decode(server.ask("svcca/frames", **query, since=1, limit=2))
    assert list(frames) == [2, 3]
    assert head["rest"] > 1
    assert decode(server.ask("svcca/frames", **query, since=EPOCHS - 1))[1]["rest"] == 0
    status, _, body = server.open("/data/plugin/svcca/frames?run=svcca&tag=svcca/layers/1")
    assert status == 404
    assert (
        "It has: svcca/dims, svcca/epoch, svcca/final, svcca/history, svcca/layers."
        in body.decode()
    )


LINK = "&p.svcca.reference=3&p.svcca.runs=%5B%22svcca%22%5D"


def known_at(*place):
    """What is said of a cell once it is known: the parts of a long run come one after another."""
    texts = []

    def known():
        texts.append(point_at(*place))
        return "unknown" not in texts[-1]

    until(known)
    return texts[-1]


@needs_chromium
def test_the_numbers_under_the_cursor_are_those_of_every_part(browser, server, series):
    n = len(LAYERS)
    with tab(browser, server, LINK) as (_, frame):
        for k, i in ((0, 0), (1, n - 1), (17, 8), (EPOCHS - 1, 40)):
            early, late = sorted((k, 3))
            expected = series["svcca/history"][late][i, early] if k != 3 else 1
            text = known_at(frame, "Convergence", i, k, n, EPOCHS)
            assert said(text) == pytest.approx(float(expected), abs=6e-4)
        frame.get_by_label("Epoch", exact=True).press("Home")
        for step in (0, 1, 2):
            text = known_at(frame, "Pane", 3, 50, n, n)
            expected = series["svcca/final"][step][3, 50]
            assert said(text) == pytest.approx(float(expected), abs=6e-4)
            frame.locator("html").press(".")
            frame.locator("output.time", has_text=f"epoch {step + 1} of").wait_for()
