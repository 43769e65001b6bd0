"""``python -m erc_kedro.tracking URI`` makes a store ready for MLflow's pages."""

import sys

from erc_kedro.tracking.store import TrackingError, prepare

try:
    prepare(sys.argv[1])
except TrackingError as error:
    sys.exit(f"TrackingError: {error}")
