"""Hyperparameter search: a space, a study that survives, and the trials that fill it."""
