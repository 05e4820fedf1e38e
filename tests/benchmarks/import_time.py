"""Seconds that `import svcca_monitor` takes over NumPy's own import, each in a new process."""

import statistics
import subprocess
import sys

CODE = """
import time, numpy
start = time.perf_counter()
import svcca_monitor
{use}
print(time.perf_counter() - start)
"""


def measured(use, repeats=7):
    command = [sys.executable, "-c", CODE.format(use=use)]
    runs = [
        subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(repeats)
    ]
    times = [float(done.stdout) for done in runs]
    return f"{min(times):.4f} s least, {statistics.median(times):.4f} s median of {repeats}"


print("import svcca_monitor:", measured("pass"))
print("… and svcca, Run:    ", measured("svcca_monitor.svcca, svcca_monitor.Run"))
