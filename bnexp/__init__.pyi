from bnexp.api.experiment import study as study
from bnexp.api.experiment import sweep as sweep
from bnexp.api.results import load as load

__version__: str
