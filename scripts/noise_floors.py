"""python scripts/noise_floors.py: write bnexp/study/noise_floors.csv anew.

With the package installed. From the published runs: how much differences of two cells, paired
by seed, scatter over the seeds. `bnexp plan` says by it what a number of seeds will find.
"""

import csv
import io
import itertools
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bnexp.datasets.about import about
from bnexp.metrics import LOSSES_AND_ACCURACIES
from bnexp.stats.cells import response_array
from bnexp.stats.estimate import known, vary
from bnexp.stats.limits import at_chance
from bnexp.stats.tables import Tables
from bnexp.store.folder import Store
from bnexp.study.noise_floors import FLOORS, NoiseFloor

RESULTS = Path(__file__).resolve().parents[1] / "results"
# An SD of fewer differences is little more than a guess.
FEWEST_SEEDS = 5

Cell = tuple[int, ...]


def floors(store: Store) -> Iterator[NoiseFloor]:
    """Yield the noise of a published study: the median over its pairs of cells.

    Cells of a pair agree in data, model, training images and epochs, and differ in one factor.
    Pairs of which a network in most runs only guesses tell nothing of networks that learn.
    """
    study = store.read_study()
    records = store.load(study.run_ids)
    tables = Tables(study, records)
    configs = {record.run_id: record.config for record in records}
    alike: dict[tuple[str, str, int, int], list[Cell]] = defaultdict(list)
    for levels, run_ids in study.cells:
        config = configs[next(iter(run_ids.values()))]
        cell = tuple(study.factors[key].index(level) for key, level in levels.items())
        data, model, train = config["data"], config["model"]["name"], config["train"]
        n_train = data["train_size"] or about(data).n_train - data["val_size"]
        if train["epochs"]:  # a number of steps is no number of epochs
            alike[data["name"], model, n_train, train["epochs"]].append(cell)
    accuracies = response_array(tables.runs, study.factors, study.seeds, tables.accuracy)
    guess = at_chance(accuracies, tables.chance)
    for response in dict.fromkeys((*study.responses, *LOSSES_AND_ACCURACIES)):
        array = response_array(tables.runs, study.factors, study.seeds, response)
        for kind, cells in alike.items():
            found = []
            for one, other in itertools.combinations(cells, 2):
                apart = sum(a != b for a, b in zip(one, other, strict=True))
                values = known(array[(slice(None), *one)] - array[(slice(None), *other)])
                learns = not (guess[one] or guess[other])
                if apart == 1 and learns and vary(values) and len(values) >= FEWEST_SEEDS:
                    found.append((float(values.std(ddof=1)), len(values)))
            if found:
                sds, seeds = zip(*found, strict=True)
                sd = float(f"{np.median(sds):.3g}")
                yield NoiseFloor(study.name, *kind, response, sd, len(found), max(seeds))


def text() -> str:
    """Return the file as it should be."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(NoiseFloor._fields)
    for path in sorted(RESULTS.glob("*/study.json")):
        writer.writerows(floors(Store(path.parent)))
    return buffer.getvalue()


if __name__ == "__main__":
    FLOORS.write_text(text(), encoding="utf-8")
