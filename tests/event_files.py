"""What the event files of a run hold."""

import numpy as np
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader


def tensors(run):
    """{tag: {step: array or bytes}} of all event files of a run, and the order of its steps."""
    found, order = {}, {}
    for path in sorted(run.path.glob("*tfevents*")):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                raw = value.tensor
                if raw.dtype == 1:
                    shape = [d.size for d in raw.tensor_shape.dim]
                    data = np.frombuffer(raw.tensor_content, "<f4").reshape(shape)
                else:
                    data = list(raw.string_val)
                found.setdefault(value.tag, {})[event.step] = data
                order.setdefault(value.tag, []).append(event.step)
    return found, order
