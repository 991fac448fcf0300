"""Which nodes train, by a Ray that only answers; `scripts/ray_check.sh` has a real one."""

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnexp.engine import ray_nodes
from bnexp.engine.ray_nodes import ENOUGH, NODE, Blame, HeadGone, Nodes, _teller
from bnexp.errors import UsageError

NODES = ["a", "b", "c"]


def trained(blame: Blame, run_id: str, fails: Callable[[str], bool]) -> tuple[bool, list[str]]:
    """Train a run where it may go; return whether it failed, and where it was."""
    tried: list[str] = []
    while True:
        nodes = set(NODES) - blame.left_out
        node = min(nodes - blame.avoided([run_id], nodes))
        tried.append(node)
        if not fails(node):
            blame.finished(run_id)
            return False, tried
        if not blame.failed(run_id, node, nodes):
            return True, tried


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.sampled_from(NODES))
def test_a_bad_node_costs_no_run_and_a_bad_run_no_node(bad_runs: list[bool], bad: str) -> None:
    """A run fails if it fails anywhere; only the bad node is left out, after two failures."""
    blame = Blame()
    alone = 0
    for number, bad_run in enumerate(bad_runs):
        failed, tried = trained(
            blame, str(number), lambda node, own=bad_run: own or node == bad
        )
        assert failed == bad_run
        assert len(set(tried)) == len(tried) <= 2
        alone += not bad_run and bad in tried
    assert blame.left_out == ({bad} if alone >= ENOUGH else set())
    assert alone <= ENOUGH
    assert blame.suspected == {}


def test_a_node_under_suspicion_gets_no_more_runs() -> None:
    """It waits until what failed there has ended elsewhere; there is always a node to go to."""
    blame = Blame()
    assert blame.failed("1", "a", NODES)
    assert blame.failed("2", "a", NODES)
    assert blame.avoided(["3"], NODES) == {"a"}
    for run_id, node in (("4", "b"), ("5", "b"), ("6", "c"), ("7", "c")):
        assert blame.failed(run_id, node, NODES)
    assert blame.avoided(["8"], NODES) == set()
    assert blame.avoided(["1"], NODES) == {"a"}
    assert blame.avoided(["1"], ["a"]) == set()
    assert not blame.failed("1", "b", NODES)
    assert blame.avoided(["8"], NODES) == {"b", "c"}
    assert blame.finished("4") is None
    assert blame.finished("5") == "b"
    assert blame.left_out == {"b"}


def test_without_another_node_a_failure_is_the_runs() -> None:
    """On one machine nothing is tried elsewhere, and it is never left out."""
    blame = Blame()
    assert not any(blame.failed(run_id, "a", ["a"]) for run_id in "1234")
    assert blame.left_out == set()


class Ray:
    """Says which nodes there are, and what is installed on each."""

    exceptions = SimpleNamespace(RayError=RuntimeError)

    def __init__(self, head: str, versions: dict[str, Any]) -> None:
        self.head, self.versions = head, versions
        self.cancelled: list[str] = []

    def get_runtime_context(self) -> SimpleNamespace:
        return SimpleNamespace(gcs_address=self.head)

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {
                "NodeID": node,
                "Alive": True,
                "NodeManagerHostname": f"host-{node}",
                "Resources": {} if node == "head" else {"CPU": 2.0},
            }
            for node in ("head", *self.versions)
        ]

    def remote(self, **_: object) -> Callable[[object], object]:
        def options(label_selector: dict[str, str]) -> SimpleNamespace:
            return SimpleNamespace(remote=lambda: label_selector[NODE])

        return lambda _: SimpleNamespace(options=options)

    def wait(self, asked: list[str], **_: object) -> tuple[list[str], list[str]]:
        silent = [node for node in asked if self.versions[node] is None]
        return [node for node in asked if node not in silent], silent

    def get(self, node: str) -> dict[str, str]:
        if isinstance(found := self.versions[node], Exception):
            raise found
        return _teller()() | found

    def cancel(self, node: str, force: bool) -> None:
        self.cancelled.append(node)


@pytest.fixture
def head() -> Iterator[str]:
    """Return the address of something that accepts connections."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_nodes_with_other_versions_are_left_out_and_named(
    head: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Before anything trains, each is named once with what it has; the others train."""
    ray = Ray(
        head,
        {
            "good": {},
            "old": {"torch": "2.0.0"},
            "bare": {"bnexp": "missing", "torch": "missing"},
            "broken": RuntimeError("it does not\nstart"),
            "silent": None,
        },
    )
    with caplog.at_level(logging.WARNING):
        nodes = Nodes(ray, head, "CPU")
    assert nodes.usable() == {"good"}
    assert nodes.avoided([]) == {"old", "bare", "broken", "silent"}
    assert ray.cancelled == ["silent"]
    said = "\n".join(caplog.messages)
    for words in (
        "host-old is left out, it differs (torch 2.0.0, here ",
        "host-bare is left out, it differs (bnexp missing, here ",
        "host-broken is left out, it cannot tell its versions (it does not start)",
        "host-silent is left out, it has not told its versions within 60 s",
    ):
        assert words in said
    assert len(caplog.messages) == 4
    with pytest.raises(
        UsageError, match="no node of the Ray cluster at here:1 can train: host-x"
    ):
        Nodes(Ray("here:1", {"x": {"torch": "1"}}), "here:1", "CPU")
    assert Nodes(Ray("here:1", {"x": {"torch": "1"}}), None, "CPU").usable() == {"x"}
    with pytest.raises(HeadGone):  # that is why it is silent
        Nodes(Ray("127.0.0.1:1", {"x": None}), "127.0.0.1:1", "CPU")


def test_a_node_that_fails_alone_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """When its second failure has turned out to be its own, with the reason of the last."""
    nodes = Nodes(Ray("here:1", {"bad": {}, "good": {}}), "here:1", "CPU")
    for run_id in "12":
        assert nodes.failed(run_id, "bad", "no data")
        nodes.finished(run_id)
    assert caplog.messages == [
        "the node host-bad is left out: 2 runs failed there that another node trained (no data)"
    ]
    assert nodes.usable() == {"good"}
    assert not nodes.failed("3", None, "nobody knows where")


def test_a_head_that_is_gone_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is noticed at the second look, before Ray ends the process; a new node is welcome."""
    monkeypatch.setattr(ray_nodes, "LOOK_S", 0.0)
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        ray = Ray(address, {"a": {}})
        nodes = Nodes(ray, address, "CPU")
        ray.versions["b"] = {}
        assert nodes.look()
        assert nodes.usable() == {"a", "b"}
    assert nodes.look()
    with pytest.raises(HeadGone, match=f"{address}, does not answer any more .*are kept"):
        nodes.look()
    monkeypatch.setattr(ray_nodes, "LOOK_S", 60.0)
    assert not nodes.look()
