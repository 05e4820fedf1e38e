import numpy as np
import pytest
from matplotlib.image import imread

from svcca_monitor import convergence, lagged_convergence, learning_dynamics, pane, plots
from svcca_monitor.display import convergence_table


def images(figure):
    return [axes for axes in figure.axes if axes.images]


def test_a_pane_draws_every_cell_with_the_lowest_layer_at_the_origin(made_run):
    grid = pane(made_run(), 1)
    (axes,) = images(plots.pane(grid))
    np.testing.assert_array_equal(axes.images[0].get_array(), grid.values)
    assert axes.images[0].origin == "lower"
    assert axes.images[0].get_clim() == (0.0, 1.0)
    assert [t.get_text() for t in axes.get_yticklabels()] == ["low", "mid", "high"]
    assert axes.get_ylabel() == "layer at step 1"
    assert axes.get_xlabel() == "layer at step 4"


def test_the_papers_row_has_panes_at_four_moments_against_the_end(made_run):
    run = made_run()
    row = images(plots.panes(run))
    assert [axes.get_title() for axes in row] == [
        "0% of training (epoch 0)",
        "35% of training (epoch 1)",
        "75% of training (epoch 3)",
        "100% of training (epoch 4)",
    ]
    for axes, step in zip(row, (0, 1, 3, 4), strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), pane(run, step).values)


def test_curves_have_a_line_a_layer(made_run):
    data = learning_dynamics(made_run())
    (axes,) = plots.curves(data).axes
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    assert list(lines) == ["low", "mid", "high"]
    np.testing.assert_array_equal(lines["mid"], data.sel(layer="mid"))
    assert len({line.get_color().tobytes() for line in axes.lines}) == 3


def test_a_hundred_layers_keep_legible_ticks():
    import xarray as xr

    names = [f"block_{i}/conv" for i in range(100)]
    data = xr.DataArray(
        np.eye(100), dims=("layer_a", "layer_b"), coords={"layer_a": names, "layer_b": names}
    )
    (axes,) = images(plots.pane(data))
    assert len(axes.get_yticks()) <= plots.MOST_TICKS


def test_figures_are_not_kept_by_matplotlib(made_run, tmp_path):
    import matplotlib.pyplot as plt

    figure = plots.panes(made_run())
    figure.savefig(tmp_path / "panes.png")
    assert plt.get_fignums() == []
    assert imread(tmp_path / "panes.png").shape[1] > 800


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_table_fits_the_terminal(made_run, width):
    from rich.console import Console

    run = made_run()
    console = Console(width=width, record=True)
    with console.capture() as captured:
        tables = learning_dynamics(run), convergence(run), lagged_convergence(run)
        console.print(convergence_table(*tables, width=width))
    text = captured.get()
    assert "…" not in text
    assert "-1.00" in text
    rows = [line.split() for line in text.splitlines() if line.split()[:1] in (["high"], ["low"])]
    assert [row[0] for row in rows] == ["high", "low"]
    assert rows[0][-6] == "1.00"  # the last of the curve, before area, half, settled, rest, chance


def test_moments_are_shares_of_training_not_of_snapshots(made_run):
    row = images(plots.panes(made_run(steps=(0, 1, 2, 3, 100)), moments=(0.0, 0.35, 1.0)))
    epochs = [axes.get_title().split("epoch ")[1] for axes in row]
    assert epochs == ["0)", "3)", "100)"]


def test_a_run_that_ends_in_nan_can_still_be_drawn(made_run):
    run = made_run(steps=(0, 1))
    run.write_snapshot(2, {}, epoch=2)
    assert len(images(plots.panes(run))) == 4
