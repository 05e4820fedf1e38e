"""What the monitor costs on the CIFAR-10 conv net, as ratios measured in one run.

    python tests/benchmarks/monitor_cost.py [--images 50000] [--probe 2000] [--repeats 7]

Prints the time of a capture against a bare forward pass of the same probe set in the same batches,
and of a whole snapshot (capture, factorisation, files, comparisons, event file; and the comparison
with the end, shared out) against an epoch of training. Pixels are random: they cost what others do.
"""

import argparse
import os
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from svcca_monitor import ProbeSet, Run, SVCCAMonitor
from svcca_monitor.callbacks.capture import Capture
from svcca_monitor.experiments.models import convnet


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Clock(keras.callbacks.Callback):
    """Time of each epoch's training, of `on_epoch_end` of the callbacks before, and of the end."""

    def on_epoch_begin(self, epoch, logs=None):
        self.began = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.trained = time.perf_counter() - self.began


class Timed(SVCCAMonitor):
    """The monitor, with a clock on every hook that does work."""

    spent = 0.0

    def on_train_begin(self, logs=None):
        self.spent += seconds(lambda: SVCCAMonitor.on_train_begin(self, logs))

    def on_epoch_begin(self, epoch, logs=None):
        self.spent += seconds(lambda: SVCCAMonitor.on_epoch_begin(self, epoch, logs))

    def on_epoch_end(self, epoch, logs=None):
        self.last = seconds(lambda: SVCCAMonitor.on_epoch_end(self, epoch, logs))
        self.spent += self.last

    def on_train_end(self, logs=None):
        self.end = seconds(lambda: SVCCAMonitor.on_train_end(self, logs))
        self.spent += self.end


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--probe", type=int, default=2_000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    model = convnet((32, 32, 3), 10)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    probe = ProbeSet(rng.random((options.probe, 32, 32, 3), dtype=np.float32))

    capture = Capture(model)
    spec = tf.TensorSpec((None, 32, 32, 3))
    bare = tf.function(lambda x: model(x, training=False), input_signature=[spec])

    def forward():
        for batch in probe.batches(capture.batch_size):
            bare(batch).numpy()

    forward(), capture(probe)  # traces
    bares, captures = [], []
    for _ in range(options.repeats):  # in turns, so that both see the same machine
        bares.append(seconds(forward))
        captures.append(seconds(lambda: capture(probe)))
    print(f"bare forward pass of {options.probe} images: {min(bares):.3f} s")
    print(f"capture of {len(capture.layer_info)} layers:      {min(captures):.3f} s")
    print(
        f"capture / bare pass: {min(captures) / min(bares):.2f} (least of {options.repeats} each)"
    )
    print(f"capture / bare pass: {np.median(np.divide(captures, bares)):.2f} (median of pairs)")

    x = rng.random((options.images, 32, 32, 3), dtype=np.float32)
    y = rng.integers(0, 10, options.images)
    clock = Clock()
    with tempfile.TemporaryDirectory() as log_dir:
        monitor = Timed(probe, log_dir)
        model.fit(
            x, y, batch_size=128, epochs=options.epochs, verbose=0, callbacks=[clock, monitor]
        )
        cost = Run(log_dir).facts["cost"]
    print(f"epoch of {options.images} images: {clock.trained:.1f} s")
    print(f"snapshot: {monitor.last:.3f} s, {np.mean(cost['bytes']) / 1e6:.1f} MB")
    print(f"snapshot / epoch: {monitor.last / clock.trained:.4f}")
    whole = monitor.spent / (options.epochs * clock.trained)
    print(
        f"everything the monitor did, trace and end included / {options.epochs} epochs: {whole:.4f}"
    )


if __name__ == "__main__":
    main()
