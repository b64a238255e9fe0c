"""A Sphinx extension for the pages of the package: their order, their headings, their types."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

import numpy.typing as npt
from pydantic import BaseModel
from sphinx.ext.autodoc import (
    ClassDocumenter,
    DataDocumenter,
    Documenter,
    FunctionDocumenter,
    MethodDocumenter,
    ModuleDocumenter,
    PropertyDocumenter,
)
from sphinx.util.inspect import object_description
from sphinx.util.typing import stringify_annotation

if TYPE_CHECKING:
    from sphinx.application import Sphinx

LONGEST_VALUE = 60

_ARRAY = re.compile(r"~numpy\.ndarray\[tuple\[.*?\], ~numpy\.dtype\[(.*?)\]\]")
_ARRAY_LIKE = stringify_annotation(npt.ArrayLike, "smart")


class ModuleInSourceOrder(ModuleDocumenter):
    """Sphinx's own, but for the order: that of the source, which is the order to read them in.

    Where a module says in ``__all__`` what is public, Sphinx would follow the order of that list,
    and ours are alphabetical.

    Examples
    --------
    >>> ModuleInSourceOrder.objtype, issubclass(ModuleInSourceOrder, ModuleDocumenter)
    ('module', True)
    """

    def sort_members(
        self, documenters: list[tuple[Documenter, bool]], order: str
    ) -> list[tuple[Documenter, bool]]:
        """The members of a module in the order in which they are to be shown."""
        return Documenter.sort_members(self, documenters, order)


class ShortArrays(Documenter):
    """What documents a class, a function, a method or a property, with arrays in short.

    Sphinx has an event for signatures, but not for those of overloads, nor for types of properties.

    Examples
    --------
    >>> class Function(ShortArrays, FunctionDocumenter):
    ...     pass
    >>> Function.objtype
    'function'
    """

    def add_line(self, line: str, source: str, *lineno: int) -> None:
        """Add a line of the page's source."""
        super().add_line(with_short_arrays(line), source, *lineno)


class ShortValue(DataDocumenter):
    """Sphinx's own, but for tables: the value of a constant is shown where it fits a line.

    Examples
    --------
    >>> ShortValue.objtype, issubclass(ShortValue, DataDocumenter)
    ('data', True)
    """

    def should_suppress_value_header(self) -> bool:
        """Whether a constant is shown without its value."""
        is_long = len(object_description(self.object)) > LONGEST_VALUE
        return is_long or super().should_suppress_value_header()


def sections_as_rubrics(lines: list[str]) -> list[str]:
    """The sections of a module's docstring as headings that no table of contents lists.

    Sections are otherwise those of the page, and every other module has its *References*.

    Parameters
    ----------
    lines
        The docstring, line by line.

    Examples
    --------
    >>> sections_as_rubrics(["References", "----------", ".. [1] Somebody, somewhere."])
    ['.. rubric:: References', '.. [1] Somebody, somewhere.']
    """
    text = re.sub(r"^(\w.*)\n-{3,}$", r".. rubric:: \1", "\n".join(lines), flags=re.MULTILINE)
    return text.split("\n")


def with_short_arrays(signature: str) -> str:
    """A signature, with arrays written as in the source: ``ArrayLike``, ``NDArray[float64]``.

    Parameters
    ----------
    signature
        Or any text, with NumPy's types in full, as Sphinx writes them.

    Examples
    --------
    >>> with_short_arrays("(image: ~numpy.ndarray[tuple[int, ...], ~numpy.dtype[~numpy.uint8]])")
    '(image: ~numpy.typing.NDArray[~numpy.uint8])'
    """
    shorter = signature.replace(_ARRAY_LIKE, "~numpy.typing.ArrayLike")
    return _ARRAY.sub(r"~numpy.typing.NDArray[\1]", shorter)


def signature_of_model(model: type[BaseModel]) -> str:
    """The fields of a pydantic model with their types and defaults, and without their bounds.

    Parameters
    ----------
    model
        The class.

    Examples
    --------
    >>> from fesemlib.prediction.folder import Texture
    >>> signature_of_model(Texture)
    '(*, formulation: str, image: str, values: list[float])'
    """
    annotations: dict[str, object] = {}
    for base in reversed(model.__mro__):
        annotations |= inspect.get_annotations(base)
    fields = []
    for name, field in model.model_fields.items():
        annotation = re.sub(r"Annotated\[(\w+), .*\]", r"\1", str(annotations[name]))
        default = (
            "" if field.is_required() else f" = {field.get_default(call_default_factory=True)!r}"
        )
        fields.append(f"{name}: {annotation}{default}")
    return f"(*, {', '.join(fields)})"


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx, which calls this function, to document modules in this way.

    Examples
    --------
    >>> from unittest.mock import Mock
    >>> app = Mock()
    >>> setup(app)["parallel_read_safe"]
    True
    >>> [call.args[0] for call in app.connect.call_args_list]
    ['autodoc-process-docstring', 'autodoc-process-signature']
    """

    def docstring(
        _: Sphinx, what: str, __: str, ___: object, ____: object, lines: list[str]
    ) -> None:
        if what == "module":
            lines[:] = sections_as_rubrics(lines)

    def signature(
        _: Sphinx, __: str, ___: str, named: object, *____: object
    ) -> tuple[str, str] | None:
        if isinstance(named, type) and issubclass(named, BaseModel):
            return signature_of_model(named), ""
        return None

    app.setup_extension("sphinx.ext.autodoc")
    for documenter in (ModuleInSourceOrder, ShortValue):
        app.add_autodocumenter(documenter, override=True)
    for kind in (ClassDocumenter, FunctionDocumenter, MethodDocumenter, PropertyDocumenter):
        app.add_autodocumenter(type(kind.__name__, (ShortArrays, kind), {}), override=True)
    app.connect("autodoc-process-docstring", docstring)
    app.connect("autodoc-process-signature", signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
