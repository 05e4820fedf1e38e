"""Milliseconds that the tab adds to TensorBoard's start, each time in a new process.

    python tests/benchmarks/tab_start.py [--repeats 9]

TensorBoard imports the entry point of every plugin, lets it look at the flags and loads it: that is
timed after TensorBoard's own plugins were loaded, whose modules ours shares. Beside it stands what
TensorBoard itself takes up to there.
"""

import argparse
import statistics
import subprocess
import sys

CODE = """
import sys
import time
start = time.perf_counter()
from tensorboard import default, program
server = program.TensorBoard(default.get_static_plugins())
server.configure(argv=["tensorboard", "--logdir", ".", "--load_fast=false"])
from tensorboard.backend import application
from tensorboard.plugins.base_plugin import TBContext
provider = object()
context = TBContext(data_provider=provider, flags=server.flags, logdir=".", multiplexer=None)
own = {loader: loader.load(context) for loader in server.plugin_loaders}
known = set(sys.modules)
ready = time.perf_counter()
from svcca_monitor.tensorboard.loader import SvccaLoader
loader = SvccaLoader()
loader.fix_flags(server.flags)
plugin = loader.load(context)
plugin.get_plugin_apps()
print(1e3 * (ready - start), 1e3 * (time.perf_counter() - ready))
new = set(sys.modules) - known
assert not {"keras", "tensorflow"} & new, new
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    given = parser.parse_args()
    times = []
    for _ in range(given.repeats):
        done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        times.append(tuple(map(float, done.stdout.split()[-2:])))
    names = "TensorBoard up to its plugins", "the SVCCA tab"
    for name, column in zip(names, zip(*times, strict=True), strict=True):
        print(f"{name}: {min(column):.1f} ms least, {statistics.median(column):.1f} ms median")


if __name__ == "__main__":
    main()
