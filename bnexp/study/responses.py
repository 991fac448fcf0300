"""Which responses a study has, and whether any of its runs measures them."""

from collections.abc import Collection, Iterable, Iterator

from bnexp.config.schema import Config
from bnexp.config.study import StudySpec
from bnexp.errors import UsageError
from bnexp.metrics import (
    DEVIATION,
    DIFFERENCES,
    EPOCHS_TO,
    EVALUATED,
    LOG10,
    OR_CHANCE,
    SECONDS_TO,
    TABLE,
    describe,
)

DEFAULT_RESPONSES = ("test_accuracy", "train_loss")


def responses_of(spec: StudySpec | None, base: Config) -> tuple[str, ...]:
    """Return what a study answers with, the primary response first."""
    if spec is not None:
        return spec.responses
    first = ["test_accuracy_population"] if "population" in base.eval.statistics else []
    asked = [key for probe in base.eval.probes.values() for key in probe.responses]
    return (*first, *DEFAULT_RESPONSES, *asked)


def check_measured(responses: Iterable[str], configs: Collection[Config]) -> None:
    """Check that the runs of some configuration measure each response.

    Raises:
        UsageError: With the setting that one lacks.
    """
    for key in dict.fromkeys(responses):
        lacking = [next(_lacking(key, config), None) for config in configs]
        if None not in lacking:
            raise UsageError(f"no run measures the response {key!r}: it needs {lacking[0]}")


def _lacking(key: str, config: Config) -> Iterator[str]:
    """Yield what a configuration lacks that a number of a run needs."""
    key = key.removesuffix(DEVIATION).removesuffix(OR_CHANCE).removesuffix(LOG10)
    if key.startswith(SECONDS_TO):
        key = EPOCHS_TO + key.removeprefix(SECONDS_TO)
    for part in DIFFERENCES.get(key, ()):
        yield from _lacking(part, config)
    probe = describe(key).probe
    if probe and probe not in config.eval.probes:
        yield f"eval.{probe}=true"
    for subset, ending in EVALUATED:
        if key in (f"{subset}_loss{ending}", f"{subset}_accuracy{ending}"):
            statistics = ending.removeprefix("_")
            if statistics and statistics not in config.eval.statistics:
                yield f"eval.statistics=[running,{statistics}]"
            if subset == "val" and not config.data.val_size:
                yield "data.val_size=N, images held out for validation"
    reported = [f"{EPOCHS_TO}{100 * one:g}" for one in config.eval.thresholds]
    if key.startswith(EPOCHS_TO) and key not in reported:
        yield f"eval.thresholds with {float(key.removeprefix(EPOCHS_TO)) / 100:g}"
    layer = _layer(key)
    layers = config.model.layers  # those of a user's function are known when it has run
    if layer and layers and layer not in config.norm.normalized(layers):
        yield f"a layer {layer!r} with a normalization"


def _layer(key: str) -> str | None:
    """Return the layer of whose normalization a number speaks, if it is one of a layer."""
    for metric in TABLE:
        head, _, tail = metric.key.partition("{layer}")
        if "{layer}" in metric.key and metric.member(key):
            return key[len(head) : len(key) - len(tail)]
    return None
