"""A trained model as a thing that can be used: bundles, and what they make of recordings."""

from erc_kedro.scoring.bundle import BundleError, Card
from erc_kedro.scoring.export import export
from erc_kedro.scoring.model import Model, load

__all__ = ["BundleError", "Card", "Model", "export", "load"]
