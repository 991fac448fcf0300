"""Which nodes of a Ray cluster train: those with our versions, less those that fail alone."""

import logging
import socket
import time
from collections import Counter
from collections.abc import Callable, Collection
from types import ModuleType

from bnexp.errors import UsageError, in_one_line

LOG = logging.getLogger(__name__)
# The label that Ray gives each node.
NODE = "ray.io/node-id"
# A node is left out after so many failures that no other node shares.
ENOUGH = 2
# Seconds until a node must have told what is installed there.
ANSWER_S = 60.0
# Seconds between two looks at the cluster, and until its head must accept a connection. Ray
# would find out after a minute that it is gone, and end this process without a word.
LOOK_S = CONNECT_S = 5.0


class Blame:
    """Whose fault failures are: a run's, which fails anywhere, or a node's."""

    def __init__(self) -> None:
        self.suspected: dict[str, str] = {}  # by the run that failed once, the node
        self.guilty: Counter[str] = Counter()

    def failed(self, run_id: str, node: str, nodes: Collection[str]) -> bool:
        """Note a failure; return whether the run is to be tried again, on another node."""
        if self.suspected.pop(run_id, None) is not None or not set(nodes) - {node}:
            return False
        self.suspected[run_id] = node
        return True

    def finished(self, run_id: str) -> str | None:
        """Note a success; return the node that is left out from now on, if there is one."""
        if (node := self.suspected.pop(run_id, None)) is None:
            return None
        self.guilty[node] += 1
        return node if self.guilty[node] == ENOUGH else None

    @property
    def left_out(self) -> set[str]:
        """Return the nodes that have failed alone too often."""
        return {node for node, n in self.guilty.items() if n >= ENOUGH}

    def avoided(self, run_ids: Collection[str], nodes: Collection[str]) -> set[str]:
        """Return the nodes that runs keep away from.

        Those are the ones that are left out and, while there are others, those where one of
        the runs has failed and those with so many failures that may turn out to be their own.

        Args:
            nodes: Those that are there and not left out.
        """
        failed_there = {self.suspected[one] for one in run_ids if one in self.suspected}
        counts = self.guilty + Counter(self.suspected.values())
        dubious = {node for node, n in counts.items() if n >= ENOUGH}
        for avoided in (failed_there | dubious, failed_there):
            if set(nodes) - avoided:
                return avoided | self.left_out
        return self.left_out if nodes else set()


class Nodes:
    """The nodes of a cluster, as this process sees them.

    Args:
        address: Of a cluster; None is this machine alone.
        resource: What a node must have to train, as Ray calls it: CPU or GPU.

    Raises:
        UsageError: If no node has our versions.
    """

    def __init__(self, ray: ModuleType, address: str | None, resource: str) -> None:
        self.ray = ray
        self.address = address
        self.resource = resource
        self.head: str = ray.get_runtime_context().gcs_address
        self.blame = Blame()
        self.hosts: dict[str, str] = {}
        self.alive: set[str] = set()
        self.unfit: dict[str, str] = {}  # by the node, why
        self.reasons: dict[str, str] = {}  # by the node, its last failure
        self.looked, self.silent = time.monotonic(), 0
        self._meet()

    def usable(self) -> set[str]:
        """Return the nodes that train."""
        return self.alive - self.unfit.keys() - self.blame.left_out

    def avoided(self, run_ids: Collection[str]) -> set[str]:
        """Return the nodes that runs keep away from."""
        return self.blame.avoided(run_ids, self.usable()) | self.unfit.keys()

    def failed(self, run_id: str, node: str | None, reason: str) -> bool:
        """Note a failure; return whether the run is to be tried again, on another node."""
        if node is None or not self.blame.failed(run_id, node, self.usable()):
            return False
        self.reasons[node] = reason
        return True

    def finished(self, run_id: str) -> None:
        """Note a success, and say which node is left out for what it could not do."""
        if node := self.blame.finished(run_id):
            LOG.warning(
                "the node %s is left out: %d runs failed there that another node trained (%s)",
                self.hosts[node],
                ENOUGH,
                self.reasons[node],
            )

    def look(self) -> bool:
        """Look at the cluster, if it is time; return whether that was done.

        Raises:
            UsageError: If its head is gone.
        """
        if time.monotonic() - self.looked < LOOK_S:
            return False
        try:
            self._knock()
            self.silent = 0
            self._meet()
        except HeadGone:
            self.silent += 1
            if self.silent == 2:
                raise
        self.looked = time.monotonic()
        return True

    def _knock(self) -> None:
        host, _, port = self.head.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
        except OSError as error:
            raise HeadGone(
                f"the head of the Ray cluster, {self.head}, does not answer any more "
                f"({error.strerror or error}): finished runs are kept; once it has been "
                "started again, the same command goes on"
            ) from None

    def _meet(self) -> None:
        """Take in which nodes there are; those that are new must have our versions."""
        there = {
            one["NodeID"]: one
            for one in self.ray.nodes()
            if one["Alive"] and one["Resources"].get(self.resource, 0) >= 1
        }
        new = there.keys() - self.hosts.keys()
        self.alive = set(there)
        self.hosts |= {node: there[node]["NodeManagerHostname"] for node in new}
        if self.address is not None and new:
            self._compare(new)
        if self.alive and self.alive <= self.unfit.keys():
            reasons = "; ".join(f"{self.hosts[node]} {self.unfit[node]}" for node in self.alive)
            raise UsageError(
                f"no node of the Ray cluster at {self.address} can train: {reasons}; install "
                "the same versions on all of its machines"
            )
        for node in new & self.unfit.keys():
            LOG.warning("the node %s is left out, it %s", self.hosts[node], self.unfit[node])

    def _compare(self, nodes: Collection[str]) -> None:
        """Find out which nodes have other versions than this machine."""
        tell = self.ray.remote(num_cpus=0, max_retries=0)(_teller())
        asked = {tell.options(label_selector={NODE: node}).remote(): node for node in nodes}
        answered, silent = self.ray.wait([*asked], num_returns=len(asked), timeout=ANSWER_S)
        if silent:
            self._knock()
        for one in silent:
            self.ray.cancel(one, force=True)
            self.unfit[asked[one]] = f"has not told its versions within {ANSWER_S:.0f} s"
        ours = _teller()()
        for one in answered:
            try:
                found = self.ray.get(one)
            except self.ray.exceptions.RayError as error:
                reason = in_one_line(error)[:200]
                self.unfit[asked[one]] = f"cannot tell its versions ({reason})"
                continue
            if found != ours:
                names = [name for name in ours if found[name] != ours[name]]
                told = [f"{name} {found[name]}, here {ours[name]}" for name in names]
                self.unfit[asked[one]] = f"differs ({'; '.join(told)})"


class HeadGone(UsageError):
    """Nothing can be asked of Ray any more, not even to end."""


def _teller() -> Callable[[], dict[str, str]]:
    """Return what tells the versions of a machine.

    It is a function within one so that Ray sends its code: bnexp may be missing there.
    """

    def tell() -> dict[str, str]:
        import importlib
        from importlib import metadata

        versions = dict.fromkeys(("bnexp", "torch"), "missing")
        try:
            versions["bnexp"] = importlib.import_module("bnexp").__version__
            # Builds for a CPU and for a GPU may train together.
            versions["torch"] = metadata.version("torch").partition("+")[0]
        except (ImportError, AttributeError):  # PackageNotFoundError is one, too
            pass
        return versions

    return tell
