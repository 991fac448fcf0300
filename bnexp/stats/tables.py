"""The tables of a study, as they are written to `tables/`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd

from bnexp import stats
from bnexp.config.asks import AnyAsk
from bnexp.config.study import AnyClaim
from bnexp.datasets.about import about
from bnexp.metrics import ACCURACY, LOSSES_AND_ACCURACIES, describe
from bnexp.stats.codebook import CODEBOOK
from bnexp.stats.estimate import Values
from bnexp.stats.looks import Looks
from bnexp.store.columns import Explained, explained
from bnexp.store.declaration import Declaration
from bnexp.store.declared import Declared
from bnexp.store.frames import chance, epochs_frame, runs_frame
from bnexp.store.records import RunRecord
from bnexp.study.asks import what_factors_change


@dataclass(frozen=True, eq=False)
class Tables:
    """Everything that is estimated, each table when it is first asked for.

    So a figure can be drawn while the tables that it does not show are still computed.
    """

    study: Declared
    records: Sequence[RunRecord]

    @property
    def looks(self) -> Looks:
        """Whether what is said has to hold at any of several looks."""
        return Looks(several=self.study.judged_by_several)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row a trained network."""
        return runs_frame(self.study, self.records)

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """One row an epoch of a network."""
        return epochs_frame(self.study, self.records)

    @cached_property
    def responses(self) -> tuple[str, ...]:
        """The declared responses that the runs report, the primary one first."""
        return tuple(name for name in self.study.responses if name in self.runs)

    @cached_property
    def cells(self) -> pd.DataFrame:
        """The responses by cell and, after them, every other loss and accuracy of the runs."""
        others = [str(name) for name in self.runs if name in LOSSES_AND_ACCURACIES]
        measured = list(dict.fromkeys([*self.responses, *others]))
        return stats.cells(self.runs, self.study.factors, self.study.seeds, measured)

    @cached_property
    def contrasts(self) -> pd.DataFrame:
        """Every comparison of levels."""
        return stats.contrasts(
            self.runs,
            self.study.factors,
            self.study.seeds,
            self.responses,
            was_declared=lambda contrast, response: any(
                one.plans(contrast.uses, response) for one in self._planned(response)
            ),
            looks=self.looks,
            iqm=self.study.iqm,
        )

    @cached_property
    def reversals(self) -> pd.DataFrame:
        """Effects whose sign depends on other factors, empty where there are none."""
        return stats.reversals(self.contrasts, self.study.factors, looks=self.looks)

    @cached_property
    def divergence(self) -> pd.DataFrame:
        """How often runs diverge at two levels of a factor, empty where none does."""
        study = self.study
        return stats.divergence(self.runs, study.factors, study.seeds, looks=self.looks)

    @cached_property
    def outcomes(self) -> pd.DataFrame:
        """Comparisons over other test images too, empty where no run kept which are right."""
        return stats.outcomes(self.study, self.records, self.contrasts, looks=self.looks)

    @cached_property
    def images(self) -> pd.DataFrame:
        """The test images on which levels differ most, empty as `outcomes`."""
        return stats.differing_images(self.study, self.records, self.contrasts)

    @cached_property
    def shares(self) -> pd.DataFrame:
        """How much of the variance each factor explains."""
        study = self.study
        return stats.shares(
            self.runs, study.factors, study.seeds, self.responses, looks=self.looks
        )

    @cached_property
    def claims(self) -> pd.DataFrame:
        """What the runs say of each claim."""
        return stats.judge(
            self.study.claims,
            self.runs,
            self.study.factors,
            self.study.seeds,
            was_declared=self._was_planned,
            asks=self.asks,
            iqm=self.study.iqm,
            looks=self.looks,
            chance=self.chance,
        )

    @cached_property
    def asks(self) -> tuple[AnyAsk, ...]:
        """What answers the question: what the study says, else what each factor changes."""
        return self.study.asks or what_factors_change(self.study.factors, self.responses)

    @cached_property
    def answers(self) -> pd.DataFrame:
        """The numbers that answer the question, in the order of `asks`."""
        return stats.answer(
            self.asks,
            self.runs,
            self.study.factors,
            self.study.seeds,
            max_lr_ratios=lambda: self.max_lr_ratios,
            claims=[claim for claim in self.study.claims if self._was_planned(claim)],
            chosen_on=_chosen_on(self.runs, self.accuracy),
            iqm=self.study.iqm,
            looks=self.looks,
            chance=self.chance,
        )

    @cached_property
    def chance(self) -> Values:
        """The accuracy of guessing, of each cell; shape (levels of each factor)."""
        return chance(self.study, self.records)

    @cached_property
    def max_lr(self) -> pd.DataFrame:
        """The largest working learning rates, empty where no three were tried."""
        images = replace(about(self.study.base["data"]), largest=float(self.chance.max()))
        return stats.max_lr(
            self.runs, self.study.factors, self.study.seeds, self.accuracy, images
        )

    @cached_property
    def max_lr_ratios(self) -> pd.DataFrame:
        """How much larger they are at one level than at another."""
        return stats.max_lr_ratios(self.max_lr, self.study.factors)

    @cached_property
    def equal_footing(self) -> pd.DataFrame:
        """Levels at the same learning rate and at their own best, empty where it is fixed."""
        return stats.equal_footing(
            self.runs,
            self.study.factors,
            self.study.seeds,
            self.responses,
            _chosen_on(self.runs, self.accuracy),
        )

    @cached_property
    def caveats(self) -> pd.DataFrame:
        """What the study cannot say."""
        return stats.caveats(
            self.contrasts,
            self.equal_footing,
            self.runs,
            self.study.factors,
            records=self.records,
            looks=self.looks,
        )

    def files(self) -> dict[str, pd.DataFrame]:
        """Return the tables by the name of their file; those that do not apply have none."""
        where_they_apply = {
            "divergence": self.divergence,
            "reversals": self.reversals,
            "max_lr": self.max_lr,
            "max_lr_ratios": self.max_lr_ratios,
            "equal_footing": self.equal_footing,
            "outcomes": self.outcomes,
            "images": self.images,
        }
        return {
            "runs": self.runs,
            "epochs": self.epochs,
            "cells": self.cells,
            "contrasts": self.contrasts,
            "shares": self.shares,
            "answers": self.answers,
            "claims": self.claims,
            "caveats": self.caveats,
            **{name: table for name, table in where_they_apply.items() if len(table)},
        }

    def _was_planned(self, claim: AnyClaim) -> bool:
        """Return whether a claim was declared before the first run, whatever its words."""
        return any(
            claim.quantity == other.quantity
            for one in self._planned(claim.response)
            for other in one.claims
        )

    def _planned(self, response: str) -> list[Declaration]:
        """Return what was declared before the first run, if by today's average."""
        by_iqm = response in self.study.iqm
        return [one for one in self._before_looking if (response in one.iqm) == by_iqm]

    @cached_property
    def _before_looking(self) -> tuple[Declaration, ...]:
        return self.study.planned(self.records)

    def explained(self) -> dict[str, Explained]:
        """Return what a row of each table of `files` is, and what its columns mean."""
        factors = list(self.study.factors)
        return {
            name: explained(CODEBOOK[name], list(map(str, table)), factors)
            for name, table in self.files().items()
        }

    @cached_property
    def accuracy(self) -> str:
        """The test accuracy that the study asks about first."""
        asked = (name for name in self.responses if name.startswith("test_"))
        accuracies = (one for one in asked if describe(one).quantity == ACCURACY.quantity)
        return next(accuracies, "test_accuracy")


def _chosen_on(runs: pd.DataFrame, accuracy: str) -> str:
    """Return what learning rates are chosen on: held-out images where there are some."""
    held_out = accuracy.replace("test_", "val_")
    found = (name for name in (held_out, "val_accuracy") if name in runs)
    return next((name for name in found if runs[name].notna().any()), accuracy)
