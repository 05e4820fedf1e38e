"""How the tab comes into TensorBoard, and that it harms nothing there."""

import re
import subprocess
import sys
from importlib.metadata import requires
from types import SimpleNamespace

# What the package asks for beyond what TensorBoard brings along.
OTHER_PACKAGES = [
    {"pyyaml": "yaml"}.get(name, name.replace("-", "_"))
    for requirement in requires("svcca-monitor")
    if "extra ==" not in requirement
    and (name := re.match(r"[\w-]+", requirement).group().lower()) not in ("tensorboard", "numpy")
]


def in_a_fresh_interpreter(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_the_entry_point_adds_less_than_20_ms_and_loads_nothing_but_itself():
    done = in_a_fresh_interpreter(
        "import sys, time\n"
        "from tensorboard import default, program\n"  # what TensorBoard's own start has loaded
        "before, start = set(sys.modules), time.process_time()\n"
        "import svcca_monitor.tensorboard.loader\n"
        "print(time.process_time() - start)\n"
        "ours = {n for n in set(sys.modules) - before if n.startswith('svcca_monitor.')}\n"
        "assert ours == {'svcca_monitor.tensorboard', 'svcca_monitor.tensorboard.loader'}, ours\n"
        "assert not {'keras', 'scipy', 'tensorflow', 'pandas'} & (set(sys.modules) - before)"
    )
    assert float(done.stdout) < 0.02


def test_the_plugin_loads_where_only_tensorboard_is_installed():
    done = in_a_fresh_interpreter(
        "import sys\n"
        f"for name in {[*OTHER_PACKAGES, 'tensorflow', 'jax', 'torch', 'pandas', 'dask']}:\n"
        "    sys.modules[name] = None\n"
        "from tensorboard.plugins.base_plugin import TBContext\n"
        "from svcca_monitor.tensorboard.loader import SvccaLoader\n"
        "print(sorted(SvccaLoader().load(TBContext()).get_plugin_apps()))\n"
        "import svcca_monitor\n"
        "assert not hasattr(svcca_monitor, '__wrapped__')  # as inspect asks\n"
        "try:\n"
        "    svcca_monitor.Run\n"
        "except ImportError as error:\n"
        "    print(error)"
    )
    routes, told = done.stdout.splitlines()
    assert routes == "['/*', '/frames', '/index.js', '/tags']"
    assert told.startswith("svcca_monitor.Run needs more than the tab in TensorBoard does (")
    assert told.endswith("): pip install svcca-monitor")


def test_whatever_happens_in_it_tensorboard_goes_on():
    done = in_a_fresh_interpreter(
        "import sys, types\n"
        "from svcca_monitor.tensorboard.loader import SvccaLoader\n"
        "SvccaLoader().fix_flags(types.SimpleNamespace())\n"
        "sys.modules['svcca_monitor.tensorboard.plugin'] = None\n"
        "assert SvccaLoader().load(None) is None"
    )
    assert "--samples_per_plugin svcca=5000 does" in done.stderr
    assert "the SVCCA tab is not shown" in done.stderr


def test_users_may_still_choose_how_many_steps_are_kept():
    from svcca_monitor.tensorboard.loader import SvccaLoader

    for given, kept in (({}, 5000), ({"svcca": 7}, 7)):
        flags = SimpleNamespace(samples_per_plugin=dict(given))
        SvccaLoader().fix_flags(flags)
        assert flags.samples_per_plugin == {"svcca": kept}


def test_memory_is_given_back_where_the_c_library_keeps_it(monkeypatch):
    from svcca_monitor.tensorboard.memory import give_back

    asked = []
    monkeypatch.setattr("ctypes.CDLL", lambda name: SimpleNamespace(malloc_trim=asked.append))
    give_back()
    assert asked == [0]
    monkeypatch.setattr("ctypes.CDLL", lambda name: SimpleNamespace())  # as on a Mac
    give_back()
    monkeypatch.setattr("ctypes.CDLL", lambda name: name.decode())  # None is no library of Windows
    give_back()
