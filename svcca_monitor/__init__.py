"""Watch each layer of a Keras model converge while it trains.

This page is the table of contents; the names are loaded when they are used.
"""

try:
    import lazy_loader
except ImportError as error:
    # TensorBoard imports its tab through here, and an error would end TensorBoard: the tab needs
    # nothing that TensorBoard has not, so it is shown where the other names cannot be had.
    _MISSING = error

    def __getattr__(name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        raise ImportError(
            f"svcca_monitor.{name} needs more than the tab in TensorBoard does ({_MISSING}): "
            "pip install svcca-monitor"
        ) from _MISSING

else:
    __getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
