"""What is imported once for all workers; see `bnexp.engine.processes.prepare`."""

import atexit
import gc
import os
import signal

# Ctrl-C reaches every process of a terminal; this one has nothing to say about it.
signal.signal(signal.SIGINT, signal.SIG_IGN)
os.environ["OMP_NUM_THREADS"] = "1"  # before torch starts its thread pool
import bnexp.train  # noqa: E402, F401

# All of it stays to the end: no process looks through it for garbage, and this one does not
# take it apart when it exits (.3 s), while whoever reads bnexp's output waits.
gc.freeze()
atexit.register(os._exit, 0)
