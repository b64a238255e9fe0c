"""Each public function has an example in its docstring, and the example is right."""

import doctest
import importlib
import inspect
import pkgutil
import re
import sys
from io import StringIO
from pathlib import Path
from types import ModuleType

import pytest
from matplotlib import pyplot as plt

import fesemlib
from fesemlib.progress import PROGRESS_FILE, REMARKS_FILE

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(fesemlib.__path__, "fesemlib.")
    if not module.ispkg
)
ROOMS = sorted(module.name for module in pkgutil.iter_modules(fesemlib.__path__, "fesemlib."))


def trains(name: str) -> bool:
    """Whether an example of the module may train: those that do say for how many epochs."""
    source = Path(fesemlib.__path__[0]).parent.joinpath(*name.split(".")).with_suffix(".py")
    text = source.read_text(encoding="utf-8")
    return re.search(r"^ *(>>>|\.\.\.) .*\bepochs=", text, re.MULTILINE) is not None


MARKED = [pytest.param(name, marks=pytest.mark.slow) if trains(name) else name for name in MODULES]


def to_be_shown(room: ModuleType) -> dict[str, object]:
    """The functions that a room offers, and its classes that have public methods."""
    offered = {name: getattr(room, name) for name in getattr(room, "__all__", [])}
    return {
        name: value
        for name, value in offered.items()
        if getattr(value, "__module__", "").startswith(room.__name__)
        and (
            any(is_public_method(*each) for each in vars(value).items())
            if inspect.isclass(value)
            else inspect.isroutine(inspect.unwrap(value))
        )
    }


def is_public_method(name: str, value: object) -> bool:
    callables = (classmethod, staticmethod)
    return not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, callables))


def has_example(name: str, value: object) -> bool:
    """Whether it, or a method of it, has a section of examples with something to run."""
    return any(
        bool(test.examples) and re.search(r"^ *Examples\n *-{8}$", test.docstring, re.MULTILINE)
        for test in doctest.DocTestFinder().find(value, name, sys.modules[value.__module__])
    )


@pytest.mark.parametrize("name", ROOMS)
def test_public_functions_have_examples(name: str) -> None:
    offered = to_be_shown(importlib.import_module(name))
    without = [each for each in offered if not has_example(each, offered[each])]
    assert without == []


@pytest.mark.parametrize("name", MARKED)
def test_examples_are_right(
    name: str, own_build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert own_build.parent == tmp_path
    monkeypatch.chdir(tmp_path)
    for watcher in (PROGRESS_FILE, REMARKS_FILE):
        monkeypatch.delenv(watcher, raising=False)
    report = StringIO()
    runner = doctest.DocTestRunner()
    for test in doctest.DocTestFinder().find(importlib.import_module(name)):
        runner.run(test, out=report.write)
    plt.close("all")
    assert runner.failures == 0, report.getvalue()
