"""How fast the tab is: a hundred layers, five hundred epochs, in headless Chromium.

    python tests/benchmarks/tab_speed.py [--layers 100] [--epochs 500] [--python PATH]

Prints the time from opening the tab to the first pane, the script time of a frame while the slider
moves through every epoch, and the memory of TensorBoard's processes. TensorBoard loads TensorFlow
where it is installed, and that takes most of its memory: `--python` runs the TensorBoard of another
environment, with svcca-monitor and without TensorFlow.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from browser import chromium, page_of
from tensorboard_server import serving, until

from svcca_monitor.tensorboard.board import Board

# Milliseconds of script between the call of a frame and its end, for every epoch.
FRAMES = """async () => {
  const slider = document.querySelector('.time-bar input');
  const times = [];
  const original = window.requestAnimationFrame;
  const frame = () => new Promise((done) => original((t) => done(t)));
  let spent = 0;
  window.requestAnimationFrame = (call) => original((t) => {
    const start = performance.now();
    call(t);
    spent += performance.now() - start;
  });
  const stamps = [];
  for (let k = 0; k <= Number(slider.max); k++) {
    spent = 0;
    const start = performance.now();
    slider.value = k;
    slider.dispatchEvent(new Event('input'));
    spent += performance.now() - start;
    stamps.push(await frame());
    times.push(spent);
  }
  window.requestAnimationFrame = original;
  return {times, stamps};
}"""


def write(folder, layers, epochs):
    """Event files of a net whose layers drift, shaped as those of a monitor."""
    rng = np.random.default_rng(0)
    names = [f"block_{i // 4}/conv_{i % 4}" for i in range(layers)]
    board = Board(folder / "svcca", "svcca", names, 2000)
    near = np.exp(-np.abs(np.subtract.outer(np.arange(layers), np.arange(layers))) / 12)
    chance, panes = [0.1] * layers, []
    for epoch in range(epochs):
        noise = rng.uniform(0, 0.05, (layers, layers))
        share = 1 - np.exp(-epoch / (20 + np.arange(layers)))[:, None]
        now = np.clip(near * (0.4 + 0.6 * (share + share.T) / 2) + noise + noise.T, 0, 1)
        np.fill_diagonal(now, 1)
        history = np.clip(
            1 - np.linspace(0.6, 0.0, epoch) + rng.uniform(0, 0.05, (layers, epoch)), 0, 1
        )
        dims = rng.integers(10, 60, layers).astype(float)
        board.snapshot(epoch, now, history, chance=chance, first=epoch == 0, epoch=epoch, dims=dims)
        panes.append((epoch, near * share + noise))
    board.final(panes, chance=chance)


def memory(process):
    """Resident MB of a process and of its children, by name."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            facts = dict(
                line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line
            )
        except OSError:
            continue
        if process.pid in (int(facts["Pid"]), int(facts["PPid"])) and "VmHWM" in facts:
            found[facts["Name"]] = (
                int(facts["VmHWM"].split()[0]) / 1e3,
                int(facts["VmRSS"].split()[0]) / 1e3,
            )
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=500)
    parser.add_argument("--python", default=sys.executable, help="runs TensorBoard")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), given.layers, given.epochs)
        with serving(folder, python=given.python) as server, chromium() as browser:
            until(lambda: "svcca/final" in str(server.ask("svcca/tags")))
            before = memory(server.process)
            url = f"{server.url}/data/plugin_entry.html?name=svcca"
            with page_of(browser, url) as page:
                first = page.evaluate(
                    "() => new Promise((done) => { const look = () =>"
                    " document.querySelector('.charts canvas')?.width > 300 &&"
                    " document.querySelector('.time')?.textContent ?"
                    " done(performance.now()) : requestAnimationFrame(look); look(); })"
                )
                page.wait_for_timeout(6000)
                page.evaluate(FRAMES)  # once to warm up
                found = page.evaluate(FRAMES)
                adjusted = page.get_by_label("chance as zero")
                adjusted.check()
                page.wait_for_timeout(1000)
                with_chance = page.evaluate(FRAMES)
            print(f"{given.layers} layers, {given.epochs} epochs")
            print(f"first paint {first:.0f} ms after the tab was opened")
            for name, each in (("slider", found), ("slider, chance as zero", with_chance)):
                p50, p95 = np.percentile(each["times"], [50, 95])
                gaps = np.diff(each["stamps"])
                print(
                    f"{name}: script time of a frame p50 {p50:.1f} ms, p95 {p95:.1f} ms; "
                    f"{1e3 / np.mean(gaps):.0f} frames a second"
                )
            found = memory(server.process)
            for name, (peak, now) in found.items():
                start = before.get(name, (0, 0))[1]
                print(f"{name}: {now:.0f} MB, at most {peak:.0f} MB; {start:.0f} MB before the tab")
            print(f"together at most {sum(peak for peak, _ in found.values()):.0f} MB")


if __name__ == "__main__":
    main()
