"""Experiments from configs: data, models and training by name."""
