"""What is imported once for all workers; see `bnexp.processes.prepare`."""

import os

from bnexp.startup import end_at_once, end_with_parent, import_for_good

forking: list[int] = []
end_with_parent()
# Workers, and what they fork, too: they are not asked to.
os.register_at_fork(
    before=lambda: forking.append(os.getpid()),
    after_in_parent=forking.clear,
    after_in_child=lambda: end_with_parent(forking[-1]),
)
os.environ["OMP_NUM_THREADS"] = "1"  # before torch starts its thread pool
import_for_good("bnexp.engine.worker", "bnexp.train")
end_at_once(lambda: 0)
