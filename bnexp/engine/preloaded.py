"""What is imported once for all workers; see `bnexp.processes.prepare`."""

import atexit
import gc
import os
import signal
import threading

# Ctrl-C reaches every process of a terminal; this one has nothing to say about it.
signal.signal(signal.SIGINT, signal.SIG_IGN)
os.environ["OMP_NUM_THREADS"] = "1"  # before torch starts its thread pool

gc.disable()  # it finds nothing in what is imported, and takes a twelfth of the time
parent = os.getppid()
imported = threading.Event()


def follow() -> None:
    """Leave with the command: after a typo, nobody should wait for imports to end."""
    while not imported.wait(0.05):
        if os.getppid() != parent:
            os._exit(0)


watch = threading.Thread(target=follow)
watch.start()
import bnexp.train  # noqa: E402, F401

imported.set()
watch.join()  # workers are forked from a process without threads

# All of it stays to the end: no process looks through it for garbage, and this one does not
# take it apart when it exits (.3 s), while whoever reads bnexp's output waits.
gc.freeze()
gc.enable()
atexit.register(os._exit, 0)
