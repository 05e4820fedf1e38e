"""The SVCCA tab's side of the server.

Routes, below `data/plugin/svcca/` and by GET alone:

`/tags`
    JSON `{run: {"tags": {tag: last step}, "times": {tag: when it was written, in seconds},
    "measure": …, "layers": [name, …], "n_samples": n or null}}`. Tags are those of `summary.py`,
    the parts of a long one (see `parts.py`) as one; those of other writers are left out.
`/frames?run=…&tag=…[&since=…][&limit=…]`
    The frames of a tag in the format of `frames.py`: those of steps above `since` and, of these,
    the first `limit`, but no more than one part of the tag has. While the answer says that there is
    a rest, ask again, since its last step.
`/index.js` and the other files of `static/`
    The page. Nothing else is served.

What is asked wrongly gets a 4xx with a sentence, as plain text: 400 for a parameter that is missing
or no number, 404 for a run, a tag or a path that is not there, 405 for all but GET and HEAD, 422
for a tag whose event file holds no matrices of numbers.
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard import plugin_util
from tensorboard.backend import http_util
from tensorboard.data.provider import RunTagFilter
from tensorboard.plugins.base_plugin import FrontendMetadata, TBContext, TBPlugin
from werkzeug import wrappers

from . import frames
from .loader import PLUGIN_NAME, SAMPLES
from .memory import give_back
from .parts import gathered, unpacked

STATIC = Path(__file__).parent / "static"
VERSIONS = (1, 2)
_LARGEST_STEP = 2**63 - 1

Wsgi = Callable[..., Iterable[bytes]]
Answer = tuple[bytes, str]


class RequestError(Exception):
    """A request that cannot be answered.

    Args:
        code: HTTP status.
        sentence: What came, what was expected, the way out.
    """

    def __init__(self, code: int, sentence: str):
        super().__init__(sentence)
        self.code = code


class SvccaPlugin(TBPlugin):
    """Serves the tab and the numbers of the runs, through TensorBoard's data provider.

    Args:
        context: TensorBoard's; its data provider may be absent, then there is nothing to show.
    """

    plugin_name = PLUGIN_NAME

    def __init__(self, context: TBContext):
        super().__init__(context)
        self._provider = context.data_provider
        hints = context.sampling_hints or {}
        # The provider cuts again what was loaded; 0 would mean none at all.
        self._samples = hints.get(PLUGIN_NAME) or SAMPLES
        self._files = {f"/{path.name}": path for path in sorted(STATIC.iterdir())}

    def is_active(self) -> bool:
        """False: TensorBoard then asks its data provider whether a run has data of this plugin."""
        return False

    def frontend_metadata(self) -> FrontendMetadata:
        """The tab's name and its module."""
        return FrontendMetadata(es_module_path="/index.js", tab_name="SVCCA")

    def get_plugin_apps(self) -> dict[str, Wsgi]:
        """The routes, see above."""
        return {
            "/index.js": _application(self._static),  # TensorBoard wants it by name
            "/tags": _application(self._tags),
            "/frames": _application(self._frames),
            "/*": _application(self._static),
        }

    def _tags(self, request: wrappers.Request) -> Answer:
        runs = {
            run: described
            for run, series in self._series(request).items()
            if (described := _description(series))
        }
        give_back()  # the view asks for this first: TensorBoard has read files since it did last
        return json.dumps(runs).encode(), "application/json"

    def _frames(self, request: wrappers.Request) -> Answer:
        run, tag = _given(request, "run"), _given(request, "tag")
        since, limit = _number(request, "since", -1), _number(request, "limit", _LARGEST_STEP)
        series = self._series(request)
        if run not in series:
            raise RequestError(404, f"No run {run!r} with SVCCA data. There are: {_list(series)}.")
        parts = gathered(series[run])
        if tag not in parts:
            raise RequestError(404, f"Run {run!r} has no tag {tag!r}. It has: {_list(parts)}.")
        later = [part for part in parts[tag] if series[run][part].max_step > since]
        try:
            body = self._encoded(request, run, later, since, limit)
        except Exception as error:
            # Event files are of anybody: strings for numbers, shapes of terabytes, half a tensor.
            raise RequestError(
                422,
                f"Tag {tag!r} of run {run!r} does not hold matrices of numbers "
                f"({type(error).__name__}: {error}). Its event file is damaged or another's.",
            ) from error
        finally:
            give_back()
        return body, "application/octet-stream"

    def _encoded(
        self, request: wrappers.Request, run: str, parts: list[str], since: int, limit: int
    ) -> bytes:
        """The first frames after a step, of the parts of a tag that go beyond it."""
        by_step: dict[int, np.ndarray] = {}
        unread = list(parts)
        while unread and not by_step:
            by_step = self._read(request, run, unread.pop(0), since)
        steps = sorted(by_step)[:limit]
        matrices = [by_step.pop(step) for step in steps]
        return frames.encode(steps, matrices, rest=len(by_step) + len(unread))

    def _read(
        self, request: wrappers.Request, run: str, part: str, since: int
    ) -> dict[int, np.ndarray]:
        """Matrices of one part, of steps above `since`."""
        data = self._provider.read_tensors(
            plugin_util.context(request.environ),
            experiment_id=plugin_util.experiment_id(request.environ),
            plugin_name=PLUGIN_NAME,
            downsample=self._samples,
            run_tag_filter=RunTagFilter([run], [part]),
        )
        # Steps may come twice, or out of order, from a run that was taken up again.
        return {
            datum.step: unpacked(datum.numpy)
            for datum in data.get(run, {}).get(part, [])
            if datum.step > since
        }

    def _static(self, request: wrappers.Request) -> Answer:
        name = "/" + request.path.rpartition(f"/plugin/{PLUGIN_NAME}/")[2]
        if name not in self._files:
            raise RequestError(404, f"There is nothing at {name!r}. Files: {_list(self._files)}.")
        path = self._files[name]
        kind = "text/javascript" if path.suffix == ".js" else mimetypes.guess_type(path.name)[0]
        return path.read_bytes(), kind or "application/octet-stream"

    def _series(self, request: wrappers.Request) -> Mapping[str, Mapping[str, Any]]:
        if self._provider is None:
            raise RequestError(
                404, "This TensorBoard has no data provider: start it without flags."
            )
        return self._provider.list_tensors(
            plugin_util.context(request.environ),
            experiment_id=plugin_util.experiment_id(request.environ),
            plugin_name=PLUGIN_NAME,
        )


def _application(answer: Callable[[wrappers.Request], Answer]) -> Wsgi:
    """A route: GET alone, and what is refused is told in a sentence."""

    @wrappers.Request.application  # type: ignore[untyped-decorator]
    def serve(request: wrappers.Request) -> wrappers.Response:
        try:
            if request.method not in ("GET", "HEAD"):
                raise RequestError(405, f"GET only. Received: {request.method}.")
            body, kind = answer(request)
        except RequestError as error:
            allow = [("Allow", "GET, HEAD")] if error.code == 405 else None
            return http_util.Respond(
                request, str(error), "text/plain", code=error.code, headers=allow
            )
        return http_util.Respond(request, body, kind)

    return serve


def _description(series: Mapping[str, Any]) -> dict[str, Any] | None:
    """What `/tags` says of a run; None if no tag of it is of a version that is known here."""
    tags: dict[str, int] = {}
    times: dict[str, float] = {}
    content: dict[str, Any] = {}
    for tag, entry in series.items():
        try:
            read = json.loads(entry.plugin_content)
            known = read["version"] in VERSIONS and _all_text(read["layers"])
        except (ValueError, KeyError, TypeError, RecursionError):
            continue  # of another writer
        if known:
            content, tags[tag], times[tag] = read, entry.max_step, entry.max_wall_time
    if not tags:
        return None
    parts = gathered(tags)
    return {
        "tags": {tag: max(tags[part] for part in parts[tag]) for tag in parts},
        "times": {tag: max(times[part] for part in parts[tag]) for tag in parts},
        "measure": str(content.get("measure", "")),
        "layers": content["layers"],
        # JSON of Python takes NaN and Infinity, that of browsers does not.
        "n_samples": samples if type(samples := content.get("n_samples")) is int else None,
    }


def _all_text(names: Any) -> bool:
    return isinstance(names, list) and all(isinstance(name, str) for name in names)


def _given(request: wrappers.Request, key: str) -> str:
    values = request.args.getlist(key)
    if len(values) != 1:
        raise RequestError(
            400, f"`{key}` is needed, once: /frames?run=…&tag=…. Received: {values}."
        )
    return values[0]


def _number(request: wrappers.Request, key: str, default: int) -> int:
    values = request.args.getlist(key) or [str(default)]
    text = values[-1]
    digits = text.removeprefix("-") if key == "since" else text
    if len(values) > 1 or not (digits.isascii() and digits.isdecimal()) or len(digits) > 19:
        raise RequestError(400, f"`{key}` is a whole number, such as {key}=10. Received: {values}.")
    return int(text)


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)[:20]) or "none"
