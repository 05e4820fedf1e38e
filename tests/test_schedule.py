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


def test_unknown_frequencies_are_refused():
    with pytest.raises(ValueError, match="Unknown snapshot_freq 'batch'. Expected 'epoch'"):
        schedule.parse("batch")
    with pytest.raises(ValueError, match="at least 1 batch. Received: 0"):
        schedule.parse(0)
    with pytest.raises(TypeError, match="cannot be 1.5"):
        schedule.parse(1.5)
    with pytest.raises(ValueError, match="`per_decade` must be at least 1"):
        log_spaced(0)
