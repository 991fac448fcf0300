"""A study as a value: what is varied, which runs follow, and which of them train together."""

import importlib
import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """This package, which is also what `bnexp.study("pooling_vs_bn")` calls.

    Python has one name for both: whoever imports a module of the package binds it.
    """

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        return importlib.import_module("bnexp.api.experiment").study(*arguments, **settings)


sys.modules[__name__].__class__ = _Callable
