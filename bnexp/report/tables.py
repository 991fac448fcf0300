"""The tables of a study, as they are written to `tables/`."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Tables:
    """Everything that was estimated.

    Attributes:
        responses: The declared responses that the runs report, the primary one first.
    """

    runs: pd.DataFrame
    epochs: pd.DataFrame
    responses: tuple[str, ...]
    cells: pd.DataFrame
    contrasts: pd.DataFrame
    shares: pd.DataFrame
    claims: pd.DataFrame

    def files(self) -> dict[str, pd.DataFrame]:
        """Return the tables by the name of their file."""
        return {
            "runs": self.runs,
            "epochs": self.epochs,
            "cells": self.cells,
            "contrasts": self.contrasts,
            "shares": self.shares,
            "claims": self.claims,
        }
