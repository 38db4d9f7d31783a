"""Modules that carry the name of their function."""

from __future__ import annotations

from types import ModuleType
from typing import Any


class CallableModule(ModuleType):
    """A module that is called like its function of the same name: `likeness.speak(...)`, once `likeness/speak.py` is
    loaded, finds the module."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        return getattr(self, self.__name__.rpartition(".")[2])(*args, **options)
