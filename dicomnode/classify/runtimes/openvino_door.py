"""The one door of OpenVINO: it does not come in with what would report its use to its makers."""

import importlib
import sys
import threading
from functools import cache
from types import ModuleType
from typing import Any

from dicomnode.errors import ModelError

__all__ = ["core", "openvino"]

_one_core = threading.Lock()


@cache
def openvino() -> ModuleType:
    """The package.

    Raises:
        ModelError: it is not installed.
    """
    # Without this package OpenVINO has a stand-in that does nothing. With it, an import sends word.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # importing it now fails
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise ModelError("openvino is not installed") from error


def core() -> Any:
    """OpenVINO's core: one for the life of the process.

    It gives the thread that makes it another stack for handlers of signals, and takes that back
    from whichever thread drops it: if that is another one, the next signal ends the process.

    Raises:
        ModelError: OpenVINO is not installed.
    """
    with _one_core:
        return _core()


@cache
def _core() -> Any:
    return openvino().Core()
