"""Faults on purpose: long, random, and not among the tests that `make test` runs."""
