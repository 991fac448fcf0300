"""What of a user's code can be known to go wrong before anything trains."""

from bnexp.config.networks import Custom
from bnexp.config.normalization import OwnNorm
from bnexp.config.optimizers import OwnOptimizer
from bnexp.config.schema import Config
from bnexp.networks import examine as networks
from bnexp.train.own_optimizer import examine_optimizer


def examine(config: Config, seed: int) -> None:
    """Try out what is a user's of a run: its network or normalization, and its optimizer.

    Raises:
        UsageError: If it cannot be trained or evaluated as configured.
    """
    if isinstance(config.model, Custom) or isinstance(config.norm, OwnNorm):
        networks.examine(config, seed)
    if isinstance(config.optimizer, OwnOptimizer):
        examine_optimizer(config, config.optimizer, seed)
