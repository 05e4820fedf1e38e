"""A training that is killed at random moments and started again: what is left each time.

    python tests/killed.py [--kills 50] [--seed 0] [--backend tensorflow]

Prints a line for each kill and, at the end, how many left everything whole.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

TRAINING = """
import sys, warnings
import keras, numpy as np
from svcca_monitor import SVCCAMonitor

warnings.filterwarnings("ignore", "The model is not where")
keras.utils.set_random_seed(0)
x = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(6, name="low"),
                          keras.layers.Dense(1, name="high")])
model.compile("sgd", "mse")

class Underway(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 0:
            print("underway", flush=True)

sys.stdin.readline()
monitor = SVCCAMonitor(x, sys.argv[1], snapshot_freq=1)
model.fit(x, x[:, :1], batch_size=8, epochs=int(sys.argv[2]), verbose=0,
          callbacks=[monitor, Underway()])
"""


def prepare(log_dir, *, epochs=100_000):
    """A process that has everything imported and waits for a line."""
    return subprocess.Popen(
        [sys.executable, "-c", TRAINING, str(log_dir), str(epochs)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def train(process):
    """Let a prepared process train to its end; its exit code and errors."""
    errors = process.communicate("go\n")[1]
    return process.returncode, errors


def kill(process, seconds):
    """Let it train, kill it that long after its first batch; raise if it ended by itself."""
    process.stdin.write("go\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if line != "underway\n":
        raise AssertionError(process.stderr.read())
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    errors = process.communicate()[1]
    if process.returncode != -signal.SIGKILL:
        raise AssertionError(errors)


def live_steps(run):
    """Steps of `svcca/layers` as TensorBoard has them after reading the whole directory."""
    from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(run.path), size_guidance={"tensors": 0})
    accumulator.Reload()
    if "svcca/layers" not in accumulator.Tags()["tensors"]:
        return []
    return [event.step for event in accumulator.Tensors("svcca/layers")]


def faults(run, before, unshown=1):
    """What a kill spoiled: sentences; none if everything is whole.

    Args:
        run: The run that is left.
        before: Steps that it had when the killed process began.
        unshown: Snapshots at the end that may have been written and not yet shown.
    """
    found = []
    steps = run.steps
    if steps[: len(before)] != before:
        found.append(f"steps {sorted(set(before) - set(steps))} are gone")
    if steps != list(range(len(steps))):
        found.append(f"steps are {steps}")
    for step in steps:
        if list(run.snapshot(step)) != run.layers or run.header(step)["step"] != step:
            found.append(f"snapshot {step} is not whole")
    shown = live_steps(run)
    if shown != sorted(set(shown)):
        found.append(f"TensorBoard has steps {shown}")
    if not set(steps[:-unshown]) <= set(shown) <= set(steps):
        found.append(f"TensorBoard has {len(shown)} of {len(steps)} steps")
    return found


def temporary(run):
    return [path for path in run.path.rglob(".*") if path.is_file()]


def main():
    from svcca_monitor import Run

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", default="tensorflow")
    arguments = parser.parse_args()
    os.environ["KERAS_BACKEND"] = arguments.backend
    draw = random.Random(arguments.seed)
    whole = leftovers = 0
    with tempfile.TemporaryDirectory() as folder:
        before = []
        process = prepare(folder)
        for number in range(1, arguments.kills + 1):
            seconds = draw.uniform(0.0, 0.5)
            following = prepare(folder, epochs=1 if number == arguments.kills else 100_000)
            kill(process, seconds)
            process = following
            run = Run(folder)
            found = faults(run, before)
            whole += not found
            leftovers += len(temporary(run))
            print(
                f"kill {number}: after {seconds:.3f} s, {len(before)} -> {len(run.steps)} "
                f"snapshots, {len(temporary(run))} temporary files; {found or 'whole'}",
                flush=True,
            )
            before = run.steps
        code, errors = train(process)
        run = Run(folder)
        ends = not code and not faults(run, before) and not temporary(run)
        ends = ends and len(run.steps) == len(before) + 8 and live_steps(run) == run.steps
        print(errors if code else "", end="")
    print(
        f"{whole} of {arguments.kills} kills left everything whole ({leftovers} in the middle of a "
        f"file); the training after them {'went on and cleaned up' if ends else 'FAILED'}"
    )
    sys.exit(whole != arguments.kills or not ends)


if __name__ == "__main__":
    main()
