"""Training with the monitor is training without it."""

import keras
import numpy as np
import pytest

from svcca_monitor import SVCCAMonitor


@pytest.mark.parametrize("freq", ["epoch", 3])
def test_training_is_bit_for_bit_what_it_is_without(fit, probe, digits, tmp_path, freq):
    def trained(*callbacks):
        model, history = fit(*callbacks, validation_data=(digits[2][:50], digits[3][:50]))
        state = [np.asarray(v.numpy()) for v in (*model.variables, *model.optimizer.variables)]
        draws = [np.random.rand(), keras.random.normal((3,)).numpy()]
        return state, history.history, draws, [layer.trainable for layer in model.layers]

    state, history, draws, trainable = trained()
    state_, history_, draws_, trainable_ = trained(
        SVCCAMonitor(probe, tmp_path, snapshot_freq=freq)
    )
    for a, b in zip(state, state_, strict=True):
        np.testing.assert_array_equal(a, b)
    assert {k: v for k, v in history_.items() if not k.startswith("svcca")} == history
    np.testing.assert_array_equal(draws[1], draws_[1])
    assert draws[0] == draws_[0]
    assert trainable == trainable_


def test_nothing_is_printed(fit, probe, tmp_path, capsys):
    fit(SVCCAMonitor(probe, tmp_path), epochs=1)
    assert capsys.readouterr() == ("", "")


def test_linear_algebra_beside_training_keeps_to_one_thread(fit, probe, tmp_path, monkeypatch):
    from threadpoolctl import threadpool_info, threadpool_limits

    from svcca_monitor import factorisation, factors

    factorise, seen = factors.by_gram, []

    def watched(*args, **kwargs):
        seen.append({p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"})
        return factorise(*args, **kwargs)

    monkeypatch.setattr(factorisation, "by_gram", watched)
    with threadpool_limits(2, user_api="blas"):
        fit(SVCCAMonitor(probe, tmp_path), epochs=1)
        after = {p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"}
    assert len(seen) == 10
    assert all(threads == {1} for threads in seen)
    assert after == {2}
