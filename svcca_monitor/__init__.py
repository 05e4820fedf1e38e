"""Watch each layer of a Keras model converge while it trains.

This page is the table of contents; the names are loaded when they are used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
