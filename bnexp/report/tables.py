"""The tables of a study, as they are written to `tables/`."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Tables:
    """Everything that was estimated.

    Attributes:
        responses: The declared responses that the runs report, the primary one first.
        max_lr: The largest working learning rates, empty where no three were tried.
        max_lr_ratios: How much larger they are at one level than at another.
        equal_footing: Levels at the same learning rate and at their own best, empty where
            it was not varied.
        caveats: What the study cannot say.
    """

    runs: pd.DataFrame
    epochs: pd.DataFrame
    responses: tuple[str, ...]
    cells: pd.DataFrame
    contrasts: pd.DataFrame
    shares: pd.DataFrame
    claims: pd.DataFrame
    max_lr: pd.DataFrame
    max_lr_ratios: pd.DataFrame
    equal_footing: pd.DataFrame
    caveats: pd.DataFrame

    def files(self) -> dict[str, pd.DataFrame]:
        """Return the tables by the name of their file; those that do not apply have none."""
        where_they_apply = {
            "max_lr": self.max_lr,
            "max_lr_ratios": self.max_lr_ratios,
            "equal_footing": self.equal_footing,
        }
        return {
            "runs": self.runs,
            "epochs": self.epochs,
            "cells": self.cells,
            "contrasts": self.contrasts,
            "shares": self.shares,
            "claims": self.claims,
            "caveats": self.caveats,
            **{name: table for name, table in where_they_apply.items() if len(table)},
        }
