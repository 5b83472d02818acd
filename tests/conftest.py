"""Settings that hold for every test, and for the commands that tests start."""

import os

# By environment variables: JAX reads them when it is first imported, so that tests without JAX stay
# quick, and commands run as subprocesses get the same.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# [n] + [n, 1] is almost always a bug that broadcasts to [n, n]; a test should fail on it.
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")
