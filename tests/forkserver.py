"""One process that has imported the libraries, and from which tests fork others.

A process of Python's has one such server, so that whoever asks for another list of imports takes it from all.
"""

import multiprocessing

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.warm", "tests.integration.forked"])
