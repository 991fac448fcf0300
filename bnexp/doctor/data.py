"""Which data sets are here, and whether their files are the published ones."""

from collections.abc import Iterator

from bnexp.config.data import Data, Published
from bnexp.data.files import absent, ensure, folder_of
from bnexp.datasets.about import PUBLISHED
from bnexp.doctor.finding import Finding, careful
from bnexp.errors import UsageError


@careful
def files(wanted: Data) -> Iterator[Finding]:
    """Yield a finding for each data set; only the wanted one is downloaded if it is absent."""
    if wanted.about.fingerprint:
        about = wanted.about
        what = f"{about.n_train:,} + {about.n_test:,} {about} in {about.classes} classes"
        yield Finding("ok", f"{wanted.name}: {what}, content {about.fingerprint}")
        return
    whole = {"train_size": None, "val_size": 0, "standardize": False}
    unchanged = {"augment": None, "corrupt": None}
    others = [
        Published.model_validate({**whole, **unchanged, "root": wanted.root, "name": name})
        for name in PUBLISHED
        if name != wanted.name
    ]
    lacking = [data.name for data in others if absent(data)]
    for data in (wanted, *(one for one in others if one.name not in lacking)):
        about = data.about
        what = f"{data.name}: {about.n_train:,} + {about.n_test:,} {about}"
        if data.name == "digits":
            yield Finding("ok", f"{what}, part of scikit-learn")
            continue
        try:
            ensure(data)
        except UsageError as error:
            yield Finding("FAIL", str(error))
        else:
            yield Finding("ok", f"{what} in {folder_of(data)}, as published")
    if lacking:
        yield Finding(
            "note",
            f"not in {wanted.root}: {', '.join(lacking)}; the first run that needs one "
            "downloads it",
        )
