"""What is imported once for all workers; see `bnexp.processes.prepare`."""

import os

from bnexp.startup import end_at_once, end_with_parent, import_for_good

end_with_parent()
os.environ["OMP_NUM_THREADS"] = "1"  # before torch starts its thread pool
import_for_good("bnexp.engine.worker", "bnexp.train")
end_at_once(lambda: 0)
