"""bnexp: ablation studies of batch normalization, with an interval on every number.

The story in types, one arrow a step::

    conf/*.yaml + command line -> Study -> Design (cells, runs)       declare
    runs -> Cohort -> train -> RunRecord                              execute
    RunRecord -> runs/<run_id>.json -> DataFrame                      keep
    DataFrame -> estimates -> figures -> report.html, report.md       analyse, draw

A module imports only from those to its right (checked by import-linter)::

    cli -> report | doctor | bench -> engine | stats | plots -> train -> data -> networks
        -> norms -> streams | study -> store -> config -> errors

Axis letters in shapes: N minibatch, C channels, H W image, B minibatches, T steps,
S seeds.
"""

__version__ = "0.1.0"
