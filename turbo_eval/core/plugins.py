"""The simple way to add a model or a judge: a function named in an environment variable.

`TURBO_EVAL_PLUGINS=my_module:register` imports `my_module` and calls `register()` once per process,
before the first look at a registry. Several functions are separated by commas. Packages that are
installed use entry points instead. Child processes inherit the variable, so a plug-in works there
without another word.
"""

import importlib
import os
from collections.abc import Callable

from turbo_eval.core.errors import ConfigError

VARIABLE = "TURBO_EVAL_PLUGINS"
_called: set[str] = set()


def load_plugins() -> None:
    """Call every function named in `TURBO_EVAL_PLUGINS` that this process has not called yet.

    Raises:
        ConfigError: A name is not of the form `module:function`, or cannot be imported.
    """
    for target in filter(None, (part.strip() for part in os.environ.get(VARIABLE, "").split(","))):
        if target not in _called:
            # Marked first: a plug-in that itself reads a registry must not call itself again.
            _called.add(target)
            _resolve(target)()


def _resolve(target: str) -> Callable[[], None]:
    module, _, attribute = target.partition(":")
    try:
        function: Callable[[], None] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"plug-in {target!r}",
            why=f"it cannot be imported ({error})",
            fix=f"set {VARIABLE} to module:function, with the module on PYTHONPATH",
        ) from error
    return function
