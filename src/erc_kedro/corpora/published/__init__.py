"""Features that others published, joined to an utterance table.

Read are Parquet, npz, and the pickles that the community passes around (``community``).

A pickle can run any code when it is loaded. Here it is read by a machine of our own (``pickles``) that makes
containers, numbers and arrays, and refuses anything else by name. Of all kinds of files, what they say that
they hold is compared with what is allowed before it is read.
"""

from erc_kedro.corpora.published.apart import read_apart
from erc_kedro.corpora.published.reading import fingerprint, read

__all__ = ["fingerprint", "read", "read_apart"]
