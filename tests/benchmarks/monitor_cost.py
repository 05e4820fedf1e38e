"""What the monitor costs on the CIFAR-10 conv net: time, peak memory, and memory of a long run.

    python tests/benchmarks/monitor_cost.py [--data cifar10.npz] [--only capture epoch peak long]

Each part runs in a process of its own and prints as it goes; all take some five minutes on two
cores.

capture  A capture against a bare forward pass of the same probe set in the same batches, by turns.
epoch    A whole snapshot (capture, factorisation, files, comparisons, events) against an epoch of
         50,000 images. Trained are `--steps` batches; their time is extrapolated to the epoch.
peak     Peak resident memory of a training with the monitor, and of the same without it.
long     Resident memory after half of the snapshots and after all, with training in between: in
         the first half earlier ones fill the memory that they may have.

Without `--data`, pixels are random: they cost what others do. Memory is read from /proc (Linux):
`ru_maxrss` of a child counts the pages of the parent that it was forked from.
"""

import argparse
import gc
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
MB = 1e6
PARTS = ("capture", "epoch", "peak", "long")
# At most: capture over bare pass, snapshot over epoch, MB of the monitor, MB of half a long run.
BOUNDS = {"capture": 1.25, "epoch": 0.02, "peak": 100.0, "long": 10.0}


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def resident(field="VmRSS"):
    """Megabytes of this process: `VmRSS` now, `VmHWM` at most so far."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024 / MB
    raise OSError(f"/proc/self/status says nothing of {field}")


def say(message):
    print(message, flush=True)


def verdict(part, value, form):
    bound = BOUNDS[part]
    say(
        f"  => {format(value, form)}, bound {format(bound, form)}: "
        f"{'within' if value <= bound else 'OVER'}"
    )


def images(options, count):
    """That many images in [0, 1] and their classes."""
    import numpy as np

    if options.data is None:
        rng = np.random.default_rng(0)
        return rng.random((count, 32, 32, 3), dtype=np.float32), rng.integers(0, 10, count)
    with np.load(options.data, allow_pickle=False) as file:
        x, y = file["x_train"][:count], file["y_train"][:count]
    return x.astype(np.float32) / 255, y.ravel()


def compiled():
    import keras

    from svcca_monitor.experiments.models import convnet

    keras.utils.set_random_seed(0)
    model = convnet((32, 32, 3), 10)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def capture(options):
    import numpy as np
    import tensorflow as tf

    from svcca_monitor import ProbeSet
    from svcca_monitor.callbacks.capture import Capture

    probe, model = ProbeSet(images(options, options.probe)[0]), compiled()
    taken = Capture(model)
    spec = tf.TensorSpec((None, 32, 32, 3))
    bare = tf.function(lambda x: model(x, training=False), input_signature=[spec])

    def forward():
        for batch in probe.batches(taken.batch_size):
            bare(batch).numpy()

    forward(), taken(probe)  # traces
    bares, captures = [], []
    for _ in range(options.repeats):  # in turns, so that both see the same machine
        bares.append(seconds(forward))
        captures.append(seconds(lambda: taken(probe)))
    say(f"  bare forward pass of {options.probe} images: {min(bares):.3f} s")
    say(f"  capture of {len(taken.layer_info)} layers: {min(captures):.3f} s")
    say(f"  median of the ratios of pairs: {np.median(np.divide(captures, bares)):.2f}")
    say(f"  ratio of the least of {options.repeats} each:")
    verdict("capture", min(captures) / min(bares), ".2f")


def epoch(options):
    import keras
    import numpy as np

    from svcca_monitor import ProbeSet, Run, SVCCAMonitor

    class Clock(keras.callbacks.Callback):
        """Seconds from the first to the last batch of an epoch, without other callbacks."""

        def on_epoch_begin(self, epoch, logs=None):
            self.began = time.perf_counter()

        def on_train_batch_end(self, batch, logs=None):
            self.trained = time.perf_counter() - self.began

    class Timed(SVCCAMonitor):
        """The monitor, with a clock on every hook that does work."""

        spent = 0.0
        snapshots = ()

        def on_train_begin(self, logs=None):
            self.spent += seconds(lambda: SVCCAMonitor.on_train_begin(self, logs))

        def on_epoch_begin(self, epoch, logs=None):
            self.spent += seconds(lambda: SVCCAMonitor.on_epoch_begin(self, epoch, logs))

        def on_epoch_end(self, epoch, logs=None):
            took = seconds(lambda: SVCCAMonitor.on_epoch_end(self, epoch, logs))
            self.snapshots += (took,)

        def on_train_end(self, logs=None):
            self.spent += seconds(lambda: SVCCAMonitor.on_train_end(self, logs))

    x, y = images(options, options.probe + 128 * options.steps)
    probe, steps = ProbeSet(x[: options.probe]), (len(x) - options.probe) // 128
    x, y = x[options.probe :][: 128 * steps], y[options.probe :][: 128 * steps]
    clock = Clock()
    with tempfile.TemporaryDirectory() as log_dir:
        monitor = Timed(probe, log_dir)
        compiled().fit(x, y, batch_size=128, epochs=3, verbose=0, callbacks=[clock, monitor])
        size = np.mean(Run(log_dir).facts["cost"]["bytes"])
    whole = clock.trained / steps * math.ceil(50_000 / 128)
    say(f"  epoch of 50,000 images: {whole:.1f} s (extrapolated from {steps} batches)")
    say(f"  snapshots: {', '.join(f'{s:.2f}' for s in monitor.snapshots)} s, {size / MB:.1f} MB")
    say(f"  once a fit (trace, first snapshot, comparison with the end): {monitor.spent:.1f} s")
    say("  mean snapshot / epoch:")
    verdict("epoch", np.mean(monitor.snapshots) / whole, ".2%")
    fit = (monitor.spent + 20 * np.mean(monitor.snapshots)) / (20 * whole)
    say(f"  everything of a fit of 20 epochs: {fit:.2%}")


def training(options, *, watched):
    """Train two epochs; print the peak of memory as the last word."""
    from svcca_monitor import ProbeSet, SVCCAMonitor

    model = compiled()
    x, y = images(options, options.probe + 128 * options.steps)
    with tempfile.TemporaryDirectory() as log_dir:
        monitors = [SVCCAMonitor(ProbeSet(x[: options.probe]), log_dir)] if watched else []
        model.fit(x, y, batch_size=128, epochs=2, verbose=0, callbacks=monitors)
    print(resident("VmHWM"))


def peak(options):
    peaks = {}
    for part in ("unwatched", "watched"):
        done = in_a_process(part, options, capture_output=True, text=True)
        peaks[part] = float(done.stdout.split()[-1])
        say(f"  peak of the training {part}: {peaks[part]:.0f} MB")
    say("  MB more with the monitor:")
    verdict("peak", peaks["watched"] - peaks["unwatched"], ".0f")


def long(options):
    from svcca_monitor import ProbeSet, SVCCAMonitor

    x, y = images(options, options.probe)
    model, at = compiled(), {}
    with tempfile.TemporaryDirectory() as log_dir, SVCCAMonitor(ProbeSet(x), log_dir) as monitor:
        monitor.set_model(model)
        for step in range(options.snapshots):
            model.train_on_batch(x[:128], y[:128])
            monitor.snapshot(step)
            if step + 1 in (20, options.snapshots // 2, options.snapshots):
                gc.collect()
                at[step + 1] = resident()
                say(f"  after {step + 1} snapshots: {at[step + 1]:.0f} MB")
        # What is on disk is mapped to be read at the end, and no part of this.
        half = options.snapshots // 2
        say(f"  MB more than after {half} snapshots, after {options.snapshots}:")
        verdict("long", at[options.snapshots] - at[half], ".0f")


def in_a_process(part, options, **how):
    known = ("data", "probe", "repeats", "steps", "snapshots")
    given = {name: value for name in known if (value := getattr(options, name)) is not None}
    arguments = [f"--{name}={value}" for name, value in given.items()]
    return subprocess.run([sys.executable, __file__, "--part", part, *arguments], check=True, **how)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help=".npz file with x_train and y_train of CIFAR-10")
    parser.add_argument("--probe", type=int, default=2_000, help="images of the probe set")
    parser.add_argument("--repeats", type=int, default=7, help="captures and bare passes")
    parser.add_argument("--steps", type=int, default=100, help="batches of an epoch")
    parser.add_argument("--snapshots", type=int, default=200, help="of the long run, above 20")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--part", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part in ("watched", "unwatched"):
        training(options, watched=options.part == "watched")
    elif options.part:
        {"capture": capture, "epoch": epoch, "peak": peak, "long": long}[options.part](options)
    else:
        began = time.perf_counter()
        for part in options.only:
            say(f"{part}:")
            in_a_process(part, options)
        say(f"in all {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
