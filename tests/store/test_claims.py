"""Commands in one folder: each run has one owner, and a dead one has none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bnexp.store import claims
from bnexp.store.claims import EXPIRES_S, Claims, tidy
from bnexp.store.folder import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return an empty folder of a study."""
    return Store(tmp_path / "study")


def left_behind(store: Store) -> list[str]:
    """Return what is in the folder of the runs."""
    return sorted(os.listdir(store.runs))


def test_a_run_has_one_owner(store: Store) -> None:
    """Whoever asks first has it until it is given back, and nothing is left in the end."""
    with Claims(store) as one, Claims(store) as other:
        assert one.take("a")
        assert one.take("a")
        assert not other.take("a")
        assert other.take("b")
        assert not one.take("b")
        assert one.others() == other.others() == 1
        one.release("a")
        assert other.take("a")
        one.release("a")  # which is another's now
        assert not one.take("a")
        assert store.done() == store.failed() == set()
    assert left_behind(store) == []


ONE_OF_MANY = """
import sys
from pathlib import Path
from bnexp.store.claims import Claims
from bnexp.store.folder import Store
with Claims(Store(Path(sys.argv[1]))) as own:
    print(*(name for name in map(str, range(300)) if own.take(name)), flush=True)
    sys.stdin.read()
"""


def test_of_many_processes_one_has_each_run(store: Store) -> None:
    """All ask for all runs at the same time: each is somebody's, none is two's."""
    command = [sys.executable, "-c", ONE_OF_MANY, str(store.folder)]
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(4)
    ]
    taken = [process.stdout.readline().split() for process in processes if process.stdout]
    for process in processes:
        process.communicate()
    assert sorted(name for names in taken for name in names) == sorted(map(str, range(300)))
    assert left_behind(store) == []


def test_a_process_that_is_killed_loses_its_runs_at_once(store: Store) -> None:
    """The same command may be given again in the next moment, and tidies up."""
    command = [sys.executable, "-c", ONE_OF_MANY, str(store.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline()
        with Claims(store) as own:
            assert not own.take("7")
            process.kill()
            # It has ended, and nobody has asked how.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            assert own.take("7")
            process.wait()
            assert own.take("8")
    assert len(left_behind(store)) == 299  # with the file of the owner, less two claims
    with Claims(store):
        pass
    assert left_behind(store) == []


def test_a_finished_folder_is_tidied_too(store: Store) -> None:
    """One that was killed after its last run leaves its file; the next trains nothing."""
    tidy(store)
    assert not store.runs.exists()
    dead = store.runs / Claims(store).own.replace(f"-{os.getpid()}-", "-4194304-")
    dead.touch()
    with Claims(store) as alive:
        tidy(store)
        assert not dead.exists()
        assert alive.others() == 0
        assert (store.runs / alive.own).exists()
    tidy(store)


def of_another_machine(store: Store, run_id: str, silent_s: float) -> None:
    """Leave a claim of a machine whose last sign of life is so old by the disk's clock."""
    store.runs.mkdir(parents=True, exist_ok=True)
    owner, claim = store.runs / ".0123abcd-1-deadbeef.owner", store.runs / f".{run_id}.claim"
    claim.write_text(owner.name)
    owner.touch()
    now = owner.stat().st_mtime
    for path in (owner, claim):
        os.utime(path, (now - silent_s, now - silent_s))


@pytest.mark.parametrize("skew_s", [0, -7 * 3600, 7 * 3600])
@pytest.mark.parametrize(
    ("silent_s", "expired"), [(EXPIRES_S + 2, True), (EXPIRES_S - 10, False)]
)
def test_a_claim_expires_by_the_clock_of_the_disk(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    skew_s: float,
    silent_s: float,
    expired: bool,
) -> None:
    """Another machine is dead when it has been silent for long, whatever our own clock says."""
    import time

    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + skew_s)
    of_another_machine(store, "a", silent_s)
    with Claims(store) as own:
        assert own.take("a") == expired
        assert own.others() == (not expired)


def test_an_owner_keeps_its_claims_as_long_as_it_lives(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is touched again and again, also if somebody has removed it."""
    monkeypatch.setattr(claims, "HEARTBEAT_S", 0.02)
    with Claims(store) as own:
        (owner,) = store.runs.glob(".*.owner")
        owner.unlink()
        for _ in range(500):
            if owner.exists():
                break
            own._over.wait(0.02)
        assert owner.exists()


def test_two_that_bury_one_claim_do_not_bury_each_others(store: Store) -> None:
    """Who comes late finds that the claim is not the dead one's, and leaves it where it is."""
    of_another_machine(store, "a", EXPIRES_S + 2)
    with Claims(store) as one, Claims(store) as other:
        assert one.take("a")
        other._bury(store.runs / ".a.claim", ".0123abcd-1-deadbeef.owner")
        assert not other.take("a")
        assert one.take("a")


def test_what_is_no_claim_is_neither_waited_for_nor_removed(store: Store) -> None:
    """A pipe, a link elsewhere and files of others, under the names that claims have."""
    store.runs.mkdir(parents=True)
    (store.runs / ".gitkeep").touch()
    os.mkfifo(store.runs / ".a.claim")
    (store.runs / ".b.claim").symlink_to("/dev/zero")
    for name in (".gitkeep", ".a.claim"):
        os.utime(store.runs / name, (0, 0))
    with Claims(store) as own:
        assert own.take("c")
        own.take("a")
        own.take("b")
    assert ".gitkeep" in left_behind(store)


def test_halves_of_files_are_removed_when_they_are_old(store: Store) -> None:
    """A command that was killed while it wrote leaves nothing for ever."""
    store.runs.mkdir(parents=True)
    for name in (".a.json.x1", ".b.failed.json.x2", ".c.json.x3"):
        (store.runs / name).touch()
    for name in (".a.json.x1", ".b.failed.json.x2"):
        os.utime(store.runs / name, (0, 0))
    with Claims(store):
        pass
    assert left_behind(store) == [".c.json.x3"]
