"""SIGKILL at random moments: nothing that was complete is lost, and the next training goes on.

`python tests/killed.py` kills fifty times.
"""

import random

import killed

from svcca_monitor import Run

KILLS = 6


def test_what_was_complete_survives_being_killed_and_training_goes_on(tmp_path):
    draw = random.Random(1)
    before = []
    process = killed.prepare(tmp_path)
    for number in range(1, KILLS + 1):
        following = killed.prepare(tmp_path, epochs=1 if number == KILLS else 100_000)
        killed.kill(process, draw.uniform(0.0, 0.5))
        process = following
        run = Run(tmp_path)
        assert killed.faults(run, before) == []
        before = run.steps
    # As if it had been killed in the middle of a file, of a record, and before it was shown.
    for folder in (run.path, run.path / "snapshots"):
        (folder / ".writing-1-2.tmp").write_bytes(b"half a file")
    [*_, newest] = sorted(run.path.glob("*.live"))
    newest.write_bytes(newest.read_bytes()[:-5])
    assert killed.faults(run, before, unshown=2) == []
    code, errors = killed.train(process)
    assert code == 0, errors
    assert len(run.steps) == len(before) + 8
    assert killed.live_steps(run) == run.steps
    assert killed.temporary(run) == []


def test_steps_that_outlived_their_snapshots_are_void_once_training_goes_on(tmp_path):
    following = killed.prepare(tmp_path, epochs=1)
    killed.train(killed.prepare(tmp_path, epochs=2))
    run = Run(tmp_path)
    for step in range(12, 17):  # as after a crash of the machine, whose disk had the events only
        run.snapshot_path(step).unlink()
    code, errors = killed.train(following)
    assert code == 0, errors
    assert run.steps == list(range(20))
    assert killed.live_steps(run) == run.steps
