"""Event files: what stands in them, and what a real TensorBoard shows of them."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto import summary_pb2
from tensorboard_server import serving, until

from svcca_monitor import Run, learning_dynamics
from svcca_monitor.tensorboard import events, summary

CHANCE = [0.1, None, float("nan")]


def a_tensor(values, chance=CHANCE):
    return summary.tensor("t", values, measure="svcca", layers=["a", "b", "c"], chance=chance)


def loaded(directory):
    """(step, tag) of every summary in a directory, file by file in the order of their names."""
    return [
        (event.step, value.tag)
        for path in sorted(directory.glob("*tfevents*"))
        for event in EventFileLoader(str(path)).Load()
        for value in event.summary.value
    ]


def test_a_tensor_carries_its_numbers_and_says_what_they_are():
    values = np.arange(9.0).reshape(3, 3)
    value = a_tensor(values)
    assert [d.size for d in value.tensor.tensor_shape.dim] == [3, 3]
    np.testing.assert_array_equal(
        np.frombuffer(value.tensor.tensor_content, "<f4").reshape(3, 3), values
    )
    assert value.metadata.plugin_data.plugin_name == "svcca"
    assert value.metadata.data_class == summary_pb2.DATA_CLASS_TENSOR
    assert json.loads(value.metadata.plugin_data.content) == {
        "version": 2,
        "measure": "svcca",
        "layers": ["a", "b", "c"],
        "chance": [0.1, None, None],
        "n_samples": None,
    }


def test_scalars_have_rank_zero_and_leave_nan_out():
    values = summary.scalars("svcca_final", {"a": 0.5, "b": float("nan"), "c/d": 1.0})
    assert [v.tag for v in values] == ["svcca_final/a", "svcca_final/c/d"]
    assert all(len(v.tensor.tensor_shape.dim) == 0 for v in values)
    assert all(v.metadata.data_class == summary_pb2.DATA_CLASS_SCALAR for v in values)


def test_the_pane_image_has_a_pixel_a_cell_with_the_lowest_layer_at_the_bottom():
    grid = np.array([[0.0, 0.5, 1.0], [np.nan, 0.0, 1.0]])
    image = summary.pane_image(grid)
    assert image.metadata.data_class == summary_pb2.DATA_CLASS_BLOB_SEQUENCE
    width, height, png = image.tensor.string_val
    assert (width, height) == (b"3", b"2")
    pixels = np.asarray(Image.open(io.BytesIO(png)))
    assert pixels.shape == (2, 3, 3)
    dark, middle, bright, grey = (68, 1, 84), (33, 145, 140), (253, 231, 37), (128, 128, 128)
    assert [tuple(p) for p in pixels[1].tolist()] == [dark, middle, bright]
    assert [tuple(p) for p in pixels[0].tolist()] == [grey, dark, bright]


def test_what_was_written_can_be_read_while_the_file_is_open(tmp_path):
    writer = events.EventWriter(tmp_path)
    assert list(tmp_path.iterdir()) == []
    for step in (0, 1):
        writer.add(step, [a_tensor(np.eye(3))])
        assert loaded(tmp_path) == [(s, "t") for s in range(step + 1)]


def test_the_comparison_with_the_end_replaces_the_one_before(tmp_path):
    for end in (2, 4):
        steps = [(step, summary.scalars("final", {"a": 1.0})) for step in range(end)]
        events.replace_final(tmp_path, steps)
        assert loaded(tmp_path) == [(step, "final/a") for step in range(end)]


@pytest.mark.parametrize("load_fast", ["true", "false"])
def test_a_real_tensorboard_shows_a_real_run(trained, load_fast):
    log_dir, _ = trained
    with serving(log_dir, f"--load_fast={load_fast}") as server:
        check_what_is_shown(Run(log_dir), server.ask)


def check_what_is_shown(run, ask):
    until(lambda: "svcca_final/logits" in ask("scalars/tags").get("svcca", {}))
    tags = set(ask("scalars/tags")["svcca"])
    assert tags == {f"svcca_{k}/{n}" for k in ("convergence", "final") for n in run.layers}
    points = ask("scalars/scalars", run="svcca", tag="svcca_final/c5")
    curve = learning_dynamics(run).sel(layer="c5")
    assert [step for _, step, _ in points] == run.steps
    np.testing.assert_allclose([value for _, _, value in points], curve, atol=1e-5)

    images = ask("images/images", run="svcca", tag="svcca/pane", sample=0)
    assert [image["step"] for image in images] == run.steps
    png = ask(f"images/individualImage?{images[-1]['query']}&x")
    assert Image.open(io.BytesIO(png)).size == (14, 14)

    (category,) = ask("custom_scalars/layout")["category"]
    charts = {c["title"]: c["multiline"]["tag"] for c in category["chart"]}
    assert charts == {
        "similarity to the previous snapshot": ["^svcca_convergence/.*"],
        "similarity to the final snapshot": ["^svcca_final/.*"],
    }
    chart = ask("custom_scalars/scalars", run="svcca", tag="^svcca_final/.*")
    assert chart["regex_valid"]
    assert set(chart["tag_to_events"]) == {f"svcca_final/{n}" for n in run.layers}
