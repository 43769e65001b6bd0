"""Judging predictions: arrays and tables in, numbers out."""
