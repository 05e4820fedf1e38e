"""What TensorBoard answers for the tab, asked over HTTP."""

import json
import random
import urllib.parse
from types import SimpleNamespace

import numpy as np
import pytest
from tab_frames import decode
from tensorboard.compat.proto import summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.util import tensor_util
from tensorboard_server import serving, until

from svcca_monitor import Run, learning_dynamics, pane
from svcca_monitor.tensorboard import frames
from svcca_monitor.tensorboard.events import EventWriter

PREFIX = "/data/plugin/svcca"


@pytest.fixture(scope="module", params=["true", "false"])
def server(request, trained):
    with serving(trained[0], f"--load_fast={request.param}") as server:
        until(lambda: "svcca/final" in server.ask("svcca/tags").get("svcca", {}).get("tags", {}))
        yield server


def test_a_run_with_data_gets_a_tab_and_tags(server, trained):
    listing = json.loads(server.open("/data/plugins_listing")[2])
    assert listing["svcca"]["enabled"]
    assert listing["svcca"]["tab_name"] == "SVCCA"
    run = Run(trained[0])
    described = server.ask("svcca/tags")["svcca"]
    kinds = ("layers", "history", "final", "epoch", "dims")
    assert described["tags"] == {f"svcca/{kind}": run.steps[-1] for kind in kinds}
    assert described["layers"] == run.layers
    assert described["measure"] == "svcca"
    assert described["n_samples"] == run.facts["n_samples"]


def test_frames_are_the_numbers_of_the_run_at_every_step(server, trained):
    run = Run(trained[0])
    now, head = decode(server.ask("svcca/frames", run="svcca", tag="svcca/layers"))
    assert head["triangle"]
    assert list(now) == run.steps
    end, head = decode(server.ask("svcca/frames", run="svcca", tag="svcca/final"))
    assert not head["triangle"]
    for step in run.steps[1::2]:
        np.testing.assert_allclose(now[step], pane(run, step, step), atol=1e-5)
        np.testing.assert_allclose(end[step], pane(run, step), atol=1e-5)
    epochs, _ = decode(server.ask("svcca/frames", run="svcca", tag="svcca/epoch"))
    assert [float(frame[0, 0]) for frame in epochs.values()] == run.epochs
    past, _ = decode(server.ask("svcca/frames", run="svcca", tag="svcca/history"))
    initial = learning_dynamics(run, reference="initial")
    for step, frame in past.items():
        np.testing.assert_allclose(frame[:, 0], initial.sel(step=step), atol=1e-5)


def test_frames_come_in_parts(server, trained):
    steps = Run(trained[0]).steps
    query = {"run": "svcca", "tag": "svcca/layers"}
    first, head = decode(server.ask("svcca/frames", **query, limit=2))
    assert list(first) == steps[:2]
    assert head["rest"] == len(steps) - 2
    rest, head = decode(server.ask("svcca/frames", **query, since=steps[1]))
    assert list(rest) == steps[2:]
    assert head["rest"] == 0
    assert decode(server.ask("svcca/frames", **query, since=steps[-1]))[0] == {}


@pytest.mark.parametrize(
    ("path", "code", "sentence"),
    [
        ("/frames", 400, "`run` is needed, once"),
        ("/frames?run=svcca", 400, "`tag` is needed, once"),
        ("/frames?run=svcca&run=x&tag=svcca/layers", 400, "`run` is needed, once"),
        (
            "/frames?run=nope&tag=svcca/layers",
            404,
            "No run 'nope' with SVCCA data. There are: svcca",
        ),
        ("/frames?run=svcca&tag=nope", 404, "has no tag 'nope'. It has: svcca/dims"),
        ("/frames?run=svcca&tag=svcca/layers&since=x", 400, "`since` is a whole number"),
        ("/frames?run=svcca&tag=svcca/layers&since=1e3", 400, "`since` is a whole number"),
        ("/frames?run=svcca&tag=svcca/layers&limit=-1", 400, "`limit` is a whole number"),
        ("/frames?run=svcca&tag=svcca/layers&since=" + "9" * 400, 400, "a whole number"),
        ("/secret.js", 404, "There is nothing at '/secret.js'. Files: /"),
        ("/plugin.py", 404, "There is nothing at"),
        ("/..%2fplugin.py", 404, "There is nothing at"),
        ("/%2e%2e/plugin.py", 404, "There is nothing at"),
        ("/static/index.js", 404, "There is nothing at"),
        ("//etc/passwd", 404, ""),
    ],
)
def test_what_is_asked_wrongly_gets_a_sentence(server, path, code, sentence):
    status, headers, body = server.open(PREFIX + path)
    assert status == code
    assert sentence in body.decode()
    assert headers["Content-Type"].startswith("text/")


@pytest.mark.parametrize("route", ["/tags", "/frames", "/index.js", "/nothing"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_only_reading_is_possible(server, route, method):
    status, headers, body = server.open(PREFIX + route, method)
    assert status == 405
    assert headers["Allow"] == "GET, HEAD"
    assert f"GET only. Received: {method}." in body.decode()


def test_scripts_are_served_as_scripts(server):
    status, headers, body = server.open(f"{PREFIX}/index.js")
    assert status == 200
    assert headers["Content-Type"].startswith("text/javascript")
    assert b"export function render" in body or b"export async function render" in body


def test_nothing_that_is_asked_makes_the_server_fail(server):
    rng = random.Random(0)
    pieces = [
        "svcca",
        "svcca/layers",
        "..",
        "%00",
        "\x00",
        "'",
        "<img>",
        "ü",
        "-1",
        "9" * 30,
        "[]",
        "",
    ]
    for _ in range(150):
        query = [
            (rng.choice(["run", "tag", "since", "limit", "x"]), rng.choice(pieces))
            for _ in range(rng.randrange(5))
        ]
        route = rng.choice(
            ["/frames", "/frames/", "/tags", "/index.js", "/x", "/../x", "/%ff", "/%00"]
        )
        status, _, body = server.open(f"{PREFIX}{route}?{urllib.parse.urlencode(query)}")
        assert status in (200, 400, 404), (route, query, status, body)
    assert not [line for line in server.log if "Traceback" in line]


GOOD = {"version": 1, "measure": "svcca", "layers": ["a", "b"], "n_samples": 10}
SHAPELESS = tensor_pb2.TensorProto(
    dtype=types_pb2.DT_FLOAT,
    tensor_shape=tensor_shape_pb2.TensorShapeProto(
        dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=10**6)] * 2  # four terabytes of one number
    ),
    float_val=[1.0],
)


def event(tensor, content, tag="svcca/layers"):
    """A summary of the plugin, whatever its tensor and its content are."""
    metadata = SummaryMetadata(
        data_class=summary_pb2.DATA_CLASS_TENSOR,
        plugin_data=SummaryMetadata.PluginData(
            plugin_name="svcca",
            content=content if isinstance(content, bytes) else json.dumps(content).encode(),
        ),
    )
    return Summary.Value(tag=tag, metadata=metadata, tensor=tensor)


def numbers(values):
    return tensor_util.make_tensor_proto(np.asarray(values, np.float32))


def test_event_files_of_anybody_get_a_sentence_and_others_are_shown(tmp_path):
    unreadable = {
        "text": tensor_util.make_tensor_proto(np.array([b"x", b"y"])),
        "cube": numbers(np.zeros((2, 2, 2))),
        "empty": numbers(np.zeros((0, 0))),
        "terabytes": SHAPELESS,
        "nothing": tensor_pb2.TensorProto(),
    }
    runs = {name: (tensor, GOOD) for name, tensor in unreadable.items()}
    runs["good"] = (numbers(np.eye(2)), GOOD)
    runs["nan"] = (numbers(np.eye(2)), {**GOOD, "n_samples": float("nan")})
    runs["names"] = (numbers(np.eye(2)), {**GOOD, "layers": [None, {}]})
    runs["deep"] = (numbers(np.eye(2)), b"[" * 100_000)
    for name, (tensor, content) in runs.items():
        EventWriter(tmp_path / name).add(0, [event(tensor, content)])
    (tmp_path / "noise").mkdir()
    (tmp_path / "noise/events.out.tfevents.1").write_bytes(random.Random(0).randbytes(4000))
    with serving(tmp_path) as server:
        until(lambda: "good" in server.ask("svcca/tags"))
        status, _, body = server.open(f"{PREFIX}/tags")
        assert status == 200

        def refused(constant):
            raise AssertionError(f"browsers read no {constant}")

        described = json.loads(body, parse_constant=refused)
        assert set(described) == {*unreadable, "good", "nan"}
        assert described["nan"]["n_samples"] is None
        for run in described:
            query = urllib.parse.urlencode({"run": run, "tag": "svcca/layers"})
            status, _, body = server.open(f"{PREFIX}/frames?{query}")
            if run in unreadable:
                assert status == 422, run
                assert f"of run '{run}' does not hold matrices of numbers" in body.decode()
            else:
                assert status == 200
                np.testing.assert_array_equal(decode(body)[0][0], np.eye(2))
        assert not [line for line in server.log if "Traceback" in line]


def test_a_frame_that_is_not_symmetric_travels_whole_and_nan_is_equal_to_nan():
    lower = np.array([[1, 0], [0.5, 1]], np.float32)
    gap = np.array([[1, np.nan], [np.nan, 1]], np.float32)
    for matrices, triangle in (([gap], True), ([gap, lower], False)):
        found, head = decode(frames.encode(range(len(matrices)), matrices))
        assert head["triangle"] is triangle
        for read, written in zip(found.values(), matrices, strict=True):
            np.testing.assert_array_equal(read, written)
    with pytest.raises(ValueError, match="A frame is a matrix"):
        frames.encode([0], [np.zeros((2, 2, 2))])


@pytest.mark.filterwarnings("ignore:html5lib:DeprecationWarning")  # of TensorBoard's own
def test_tags_of_another_version_or_of_other_writers_are_left_out():
    from svcca_monitor.tensorboard.plugin import VERSIONS, _description

    content = {"version": VERSIONS[-1], "layers": ["a"], "measure": "cka", "n_samples": 7}
    contents = {
        "svcca/layers": json.dumps(content),
        "svcca/later": json.dumps({**content, "version": VERSIONS[-1] + 1}),
        "svcca/other": "no JSON",
        "svcca/strange": json.dumps([VERSIONS[-1]]),
    }
    series = {
        tag: SimpleNamespace(plugin_content=text, max_step=3, max_wall_time=1.5)
        for tag, text in contents.items()
    }
    described = _description(series)
    assert described["tags"] == {"svcca/layers": 3}
    assert described["times"] == {"svcca/layers": 1.5}
    assert _description({"svcca/later": series["svcca/later"]}) is None
