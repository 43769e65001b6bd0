"""Judging corpora, features and predictions: arrays and tables in, numbers out."""
