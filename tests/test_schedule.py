import numpy as np
import pytest

from svcca_monitor import log_spaced, schedule


def steps(due, end):
    return [step for step in range(end + 1) if due(step)]


def test_epoch_is_every_step_of_the_unit_epoch():
    parsed = schedule.parse("epoch")
    assert parsed.unit == "epoch"
    assert steps(parsed.due, 3) == [0, 1, 2, 3]


def test_a_number_is_every_nth_batch():
    parsed = schedule.parse(5)
    assert parsed.unit == "batch"
    assert steps(parsed.due, 20) == [0, 5, 10, 15, 20]


def test_a_function_is_asked_for_each_batch():
    parsed = schedule.parse(lambda step: step in (3, 7))
    assert parsed.unit == "batch"
    assert steps(parsed.due, 10) == [3, 7]


@pytest.mark.parametrize("per_decade", [1, 2, 3, 4, 7, 10])
def test_log_spaced_are_the_rounded_powers(per_decade):
    expected = sorted({round(10 ** (i / per_decade)) for i in range(4 * per_decade + 1)})
    assert steps(log_spaced(per_decade), 10_000) == expected


@pytest.mark.parametrize("listed", [[0, 3, 7], (7, 3, 0), range(0, 11, 7), np.array([3, 7])])
def test_listed_steps_are_those_steps(listed):
    parsed = schedule.parse(listed)
    assert parsed.unit == "batch"
    assert steps(parsed.due, 10) == sorted(listed)


def test_a_number_of_numpy_is_a_number():
    assert steps(schedule.parse(np.int64(4)).due, 8) == [0, 4, 8]


@pytest.mark.parametrize(
    ("freq", "error", "match"),
    [
        ("batch", ValueError, "Unknown snapshot_freq 'batch'. Expected 'epoch', a number"),
        (0, ValueError, "at least 1 batch. Received: 0"),
        (-3, ValueError, "at least 1 batch. Received: -3"),
        (1.5, TypeError, "cannot be 1.5"),
        (True, TypeError, "cannot be True"),
        (None, TypeError, "cannot be None"),
        ([], ValueError, "lists no step"),
        ([1, -2], ValueError, "lists the step -2; steps count from 0"),
        ([1, 2.5], TypeError, "lists the step 2.5"),
        ([True], TypeError, "lists the step True"),
        (lambda: True, TypeError, r"a function of one number, the step. Received: <lambda>\(\)"),
        ({"every": 3}, ValueError, r"The one schedule that a dict names is \{\"log_spaced\": n\}"),
        ({"log_spaced": "4"}, ValueError, "The one schedule that a dict names"),
        (lambda step, logs: True, TypeError, r"Received: <lambda>\(step, logs\)"),
    ],
)
def test_what_is_no_schedule_is_refused(freq, error, match):
    with pytest.raises(error, match=match):
        schedule.parse(freq)


def test_a_dict_says_what_log_spaced_does():
    given, expected = schedule.parse({"log_spaced": 3}), log_spaced(3)
    assert given.unit == "batch"
    assert [given.due(n) for n in range(200)] == [expected(n) for n in range(200)]


def test_log_spaced_needs_a_snapshot_a_decade():
    with pytest.raises(ValueError, match="`per_decade` must be at least 1"):
        log_spaced(0)
