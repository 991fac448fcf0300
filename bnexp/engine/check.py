"""Whether users' networks can be trained, asked before anything is written or waits."""

from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection

from bnexp.config.engines import Engine
from bnexp.config.schema import Config
from bnexp.engine import watch
from bnexp.errors import UsageError
from bnexp.processes import WORKERS
from bnexp.startup import follow_command


def check(configs: Sequence[Config], seeds: Sequence[int], engine: Engine) -> None:
    """Try out the users' networks among some, as they will be trained and evaluated.

    That is code of a user, which may end its process or never return: it runs in one of its
    own, unless all is asked to happen in this one. What is not known then, training finds out
    run by run.

    Args:
        seeds: Of the runs. A network that is wrong for some of them alone costs these.

    Raises:
        UsageError: If one is wrong for each of the first two seeds.
    """
    own = [config for config in configs if config.user_code]
    if engine.name == "inline":
        for config in own:
            _refuse(_problem(config, seeds))
    elif own:
        ours, theirs = WORKERS.Pipe(duplex=False)
        process = WORKERS.Process(target=_tell, args=(theirs, own, seeds), daemon=True)
        process.start()
        theirs.close()
        try:
            with suppress(EOFError, OSError):  # it is dead
                for _ in own:
                    if not ours.poll(watch.AT_LEAST_S):
                        return
                    _refuse(ours.recv())
        finally:
            process.kill()
            process.join()


def _refuse(problem: str | None) -> None:
    if problem:
        raise UsageError(problem)


def _tell(pipe: Connection, configs: Sequence[Config], seeds: Sequence[int]) -> None:
    follow_command()
    for config in configs:
        pipe.send(_problem(config, seeds))


def _problem(config: Config, seeds: Sequence[int]) -> str | None:
    """Return what is wrong with a network, None if nothing is for one of two seeds."""
    from bnexp.train.examine import examine  # imports torch

    problems = []
    for seed in seeds[:2]:
        try:
            examine(config, seed)
        except UsageError as error:
            problems.append(str(error))
        else:
            return None
    return problems[0]
