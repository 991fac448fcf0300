"""Which data sets are here, and whether their files are the published ones."""

from collections.abc import Iterator

from bnexp.config.schema import SIZES, Data
from bnexp.data.files import absent, ensure, folder_of
from bnexp.doctor.finding import Finding, careful
from bnexp.errors import UsageError


@careful
def files(wanted: Data) -> Iterator[Finding]:
    """Yield a finding for each data set; only the wanted one is downloaded if it is absent."""
    for name, (n_train, n_test) in SIZES.items():
        size = f"{name}: {n_train:,} + {n_test:,} images"
        data = wanted if name == wanted.name else wanted.model_copy(update={"name": name})
        if name == "digits":
            yield Finding("ok", f"{size}, part of scikit-learn")
            continue
        if absent(data) and name != wanted.name:
            yield Finding(
                "note",
                f"{name}: not in {folder_of(data)}; the first run that needs it downloads it",
            )
            continue
        try:
            ensure(data)
        except UsageError as error:
            yield Finding("FAIL", str(error))
        else:
            yield Finding("ok", f"{size} in {folder_of(data)}, as published (SHA-256)")
