"""Columns whose values are looked at when they are read.

SQLite keeps anything in any column, whatever its type: text where a number is to be, half a text where bytes
are. Whoever reads such a value is told which column has it, at once, instead of stumbling over it later.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa

from rlm_wasm.errors import StoreDamaged

_NUMBERS: Final = (int, float, Decimal)
_WANTED: Final[tuple[tuple[type[sa.types.TypeEngine[Any]], str, Callable[[Any], bool]], ...]] = (
    (sa.Boolean, "true or false", lambda value: value in (0, 1) and isinstance(value, int)),
    (sa.Integer, "a whole number", lambda value: type(value) is int or _is_whole(value)),
    (sa.Float, "a finite number", lambda value: isinstance(value, _NUMBERS) and math.isfinite(value)),
    (sa.LargeBinary, "bytes", lambda value: isinstance(value, bytes | bytearray | memoryview)),
    (sa.String, "text", lambda value: isinstance(value, str)),
)


class CheckedType(sa.TypeDecorator[Any]):
    """A column's type, and its place: table and column."""

    impl = sa.LargeBinary
    cache_ok = True

    def __init__(self, inner: sa.types.TypeEngine[Any], place: str) -> None:
        super().__init__()
        self.inner = inner
        self.place = place
        self.impl = inner  # type: ignore[assignment]

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """The type that the database has for it."""
        return dialect.type_descriptor(self.inner)

    def result_processor(self, dialect: sa.Dialect, coltype: Any) -> Callable[[Any], Any]:
        """What is done with each value that is read. It raises StoreDamaged for one that is none."""
        process = self.inner.dialect_impl(dialect).result_processor(dialect, coltype)
        wanted, fits = next((words, check) for kind, words, check in _WANTED if isinstance(self.inner, kind))

        def checked(value: Any) -> Any:
            if value is None:
                return None
            if not fits(value):
                raise StoreDamaged(
                    f"the store is damaged: {self.place} of a row is {_shown(value)} and must be {wanted}."
                    " Put a copy of the store in its place, or remove that row"
                )
            return value if process is None else process(value)

        return checked


def checked_table(name: str, metadata: sa.MetaData, *columns: sa.Column[Any]) -> sa.Table:
    """A table whose values are looked at when they are read."""
    checked: list[sa.Column[Any]] = [
        sa.Column(
            column.name,
            CheckedType(column.type, f"{name}.{column.name}"),
            primary_key=column.primary_key,
            autoincrement=column.autoincrement,
            nullable=column.nullable,
            index=column.index,
            server_default=column.server_default,
        )
        for column in columns
    ]
    return sa.Table(name, metadata, *checked)


def _is_whole(value: Any) -> bool:
    """Sums of whole numbers come from some databases as decimals."""
    return isinstance(value, Decimal) and value == value.to_integral_value()


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f"the text {value[:20]!r}" + ("…" if len(value) > 20 else "")
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return f"{value!r:.40}"
