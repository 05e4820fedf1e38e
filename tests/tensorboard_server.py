"""A real TensorBoard on loopback."""

import json
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field

# No proxy stands between loopback and us.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Server:
    """Where a TensorBoard listens, and what it has written to its log since it started."""

    url: str
    process: subprocess.Popen
    log: list = field(default_factory=list)

    def open(self, path, method="GET"):
        """(status, headers, body) of a request, whatever the status."""
        request = urllib.request.Request(f"{self.url}{path}", method=method)
        try:
            with _OPENER.open(request, timeout=30) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def ask(self, route, **query):
        """JSON or bytes of a plugin's route."""
        path = f"/data/plugin/{route}?{urllib.parse.urlencode(query)}"
        status, headers, raw = self.open(path)
        assert status == 200, (path, status, raw)
        return json.loads(raw) if "json" in headers["Content-Type"] else raw


@contextmanager
def serving(log_dir, *options, python=sys.executable):
    """Starts a TensorBoard of some Python over `log_dir`, and ends it."""
    process = subprocess.Popen(
        [
            *(python, "-m", "tensorboard.main", "--logdir", str(log_dir)),
            *("--host", "127.0.0.1", "--port", "0", *options),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    log: list[str] = []
    # Read on, or a full pipe would stop it.
    reader = threading.Thread(target=lambda: log.extend(process.stderr), daemon=True)
    try:
        for line in process.stderr:
            log.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+\S*?(?=/? )", line):
                break
        else:
            raise AssertionError(f"TensorBoard did not start: {''.join(log)}")
        reader.start()
        yield Server(found.group(), process, log)
    finally:
        process.kill()
        process.wait()
        if reader.ident:
            reader.join(10)
        process.stderr.close()


def until(condition, seconds=60):
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "TensorBoard did not load the run"
        time.sleep(0.2)
