"""What is imported once for all workers; see `bnexp.processes.prepare`."""

import atexit
import ctypes
import gc
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # of Linux, see prctl(2)

if sys.platform == "linux":
    # It ends with the command, whatever it is doing: after a typo, whoever reads bnexp's
    # output would wait for all these imports.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
os.environ["OMP_NUM_THREADS"] = "1"  # before torch starts its thread pool
gc.disable()  # it finds nothing in what is imported, and takes a twelfth of the time
import bnexp.engine.worker  # noqa: E402
import bnexp.train  # noqa: E402, F401

# All of it stays to the end: no process looks through it for garbage, and this one does not
# take it apart when it exits (.3 s), while whoever reads bnexp's output waits.
gc.freeze()
gc.enable()
atexit.register(os._exit, 0)
