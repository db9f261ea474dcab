"""Reading rows of the hot path with prepared statements.

The ORM spends more time on putting a query together than the database on answering it. Here the text of a query is
put together once; columns and the conversion of their values still come from the models.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Generic, TypeVar

from django.db import connection
from django.db.models import Field, Model

M = TypeVar("M", bound=Model)


class Columns(Generic[M]):
    """Some columns of a table, all of them by default. `text` is for a SELECT, in the order of `names`."""

    def __init__(self, model: type[M], names: Sequence[str] | None = None) -> None:
        self.model = model
        every = {field.attname: field for field in model._meta.concrete_fields}
        self.names = tuple(names or every)
        self.fields: tuple[Field[Any, Any], ...] = tuple(every[name] for name in self.names)
        self.text = ", ".join(f"{model._meta.db_table}.{field.column}" for field in self.fields)

    def values(self, row: Sequence[Any]) -> list[Any]:
        """What the ORM would give for a row of these columns."""
        found = list(row)
        for place, expression, converters in _converters(self, connection.vendor):
            value = found[place]
            for convert in converters:
                value = convert(value, expression, connection)
            found[place] = value
        return found

    def instance(self, row: Sequence[Any]) -> M:
        return self.model.from_db(connection.alias, self.names, self.values(row))


@cache
def _converters(columns: Columns[Any], vendor: str) -> list[tuple[int, Any, list[Any]]]:
    """(place, expression, converters) of the columns whose values the database does not give as they are."""
    found = []
    for place, field in enumerate(columns.fields):
        expression = field.get_col(columns.model._meta.db_table)
        converters = [*connection.ops.get_db_converters(expression), *expression.get_db_converters(connection)]
        if converters:
            found.append((place, expression, converters))
    return found
