"""bnexp: ablation studies of batch normalization, with an interval on every number.

The story in types, one arrow a step::

    conf/*.yaml + command line -> Study -> Design (cells, runs)       declare
    runs -> Cohort -> train -> RunRecord                              execute
    RunRecord -> runs/<run_id>.json -> DataFrame                      keep
    DataFrame -> estimates -> figures -> report.html, report.md       analyse, draw

A module imports only from those to its right (checked by import-linter)::

    cli -> api -> report | doctor | bench -> engine | stats | plots -> train -> data -> networks
        -> norms -> streams | study -> store -> config -> errors

Axis letters in shapes: N minibatch, C channels, H W image, B minibatches, T steps,
S seeds.
"""

__version__ = "0.1.0"

# What Python calls, by the module that has it. It is imported when it is first asked for:
# `import bnexp` waits for neither PyTorch nor pandas. Types: `__init__.pyi`.
_CALLED = {
    "study": "bnexp.api.experiment",
    "sweep": "bnexp.api.experiment",
    "load": "bnexp.api.results",
}


def __getattr__(name: str) -> object:
    if name not in _CALLED:
        raise AttributeError(f"module 'bnexp' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_CALLED[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_CALLED})
