import keras
from sklearn.datasets import load_digits

from svcca_monitor import ProbeSet, Run, SVCCAMonitor, convergence

keras.utils.set_random_seed(0)
x, y = load_digits(return_X_y=True)
x = x.reshape(-1, 8, 8, 1) / 16.0
model = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        keras.layers.Conv2D(16, 3, activation="relu", name="conv_1"),
        keras.layers.Conv2D(32, 3, activation="relu", name="conv_2"),
        keras.layers.Flatten(),
        keras.layers.Dense(32, activation="relu", name="dense"),
        keras.layers.Dense(10, activation="softmax", name="output"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])

probe = ProbeSet.sample(x[1200:], y[1200:], size=500)
monitor = SVCCAMonitor(probe, log_dir="logs/quickstart")
model.fit(x[:1200], y[:1200], epochs=10, callbacks=[monitor])

settled = convergence(Run("logs/quickstart"))
print(settled["area_under_curve"].to_series())
print("bottom-up index:", float(settled["bottom_up_index"]))
