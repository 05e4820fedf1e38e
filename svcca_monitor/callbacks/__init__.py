"""The Keras side: capture of activations and the callback."""
