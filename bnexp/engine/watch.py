"""Whether a worker gets on with its runs, by what it says and by how long it says nothing."""

from bnexp.config.train import Train
from bnexp.engine.messages import AtWork, EpochDone
from bnexp.store.records import RunRecord

# So many times as long as an epoch takes a worker may be silent, and for so many seconds at
# least. A GPU's kernels are compiled in silence, as a CPU's are before the first run.
PATIENCE = 10
AT_LEAST_S, AT_LEAST_ON_GPU_S, AT_LEAST_AT_FIRST_S = 60.0, 600.0, 300.0
# Seconds between two looks. More time than twice that cannot have passed between them: this
# process itself was stopped, and with it perhaps its workers.
LOOK_S = 1.0


class Watch:
    """What is known of a worker's progress.

    Attributes:
        run_ids: Of the runs that it is at; empty until it has begun.
    """

    def __init__(self, device: str) -> None:
        self.at_least_s = AT_LEAST_S if device == "cpu" else AT_LEAST_ON_GPU_S
        self.begin()

    def begin(self) -> None:
        """Expect the first word about other runs."""
        self.run_ids: tuple[str, ...] = ()
        self.epoch_s = self.silent_s = self.busy_s = 0.0

    def heard(self, message: AtWork | EpochDone | RunRecord) -> None:
        """Note a sign of life, and what it says about the time that an epoch takes."""
        if not isinstance(message, AtWork):
            self.epoch_s = max(self.epoch_s, self.silent_s)
        elif message.run_ids == self.run_ids:
            self.epoch_s = max(self.epoch_s, message.epoch_s)
        else:
            self.begin()
            self.run_ids = message.run_ids
        self.silent_s = 0.0

    def passed(self, seconds: float) -> None:
        """Note that time has passed since the last look."""
        seconds = min(seconds, 2 * LOOK_S)
        self.silent_s += seconds
        self.busy_s += seconds

    def over(self, train: Train) -> str | None:
        """Return why a worker is to be ended: a run is stuck, or takes longer than it may."""
        if train.is_too_long(self.busy_s / max(1, len(self.run_ids))):
            return train.too_long
        return self.stuck()

    def stuck(self) -> str | None:
        """Return what to record of a run that does not get on, None if all is well."""
        at_least = self.at_least_s if self.run_ids else AT_LEAST_AT_FIRST_S
        if self.silent_s <= max(at_least, PATIENCE * self.epoch_s):
            return None
        taken = (
            f"an epoch takes about {self.epoch_s:.1f} s"
            if self.epoch_s
            else "no epoch has ended"
        )
        return f"no progress for {self.silent_s:.0f} s ({taken}): its process was ended"
