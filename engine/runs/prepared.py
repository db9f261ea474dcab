"""Rows of the hot path by prepared statements.

The ORM spends more time on putting a query together than the database on answering it. Here the text of a query is
put together once; columns and the conversion of their values still come from the models.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Generic, TypeVar

from django.db import connection
from django.db.models import Field, Model

from engine.sql import row

M = TypeVar("M", bound=Model)


class Columns(Generic[M]):
    """Some columns of a table, all of them by default. `text` is for a SELECT, in the order of `names`."""

    def __init__(self, model: type[M], names: Sequence[str] | None = None) -> None:
        self.model = model
        every = {field.attname: field for field in model._meta.concrete_fields}
        self.names = tuple(names or every)
        self.fields: tuple[Field[Any, Any], ...] = tuple(every[name] for name in self.names)
        self.text = ", ".join(f"{model._meta.db_table}.{field.column}" for field in self.fields)

    def values(self, found: Sequence[Any]) -> list[Any]:
        """What the ORM would give for a row of these columns."""
        values = list(found)
        for place, expression, converters in _converters(self, connection.vendor):
            value = values[place]
            for convert in converters:
                value = convert(value, expression, connection)
            values[place] = value
        return values

    def instance(self, found: Sequence[Any]) -> M:
        return self.model.from_db(connection.alias, self.names, self.values(found))

    def first(self, where: str, values: Sequence[Any]) -> M | None:
        """A row for which `where` holds."""
        found = row(f"SELECT {self.text} FROM {self.model._meta.db_table} WHERE {where} LIMIT 1", values)  # noqa: S608
        return None if found is None else self.instance(found)

    def insert(self, made: M) -> None:
        """Write a new row and give it its id. Like `save(force_insert=True)`, but without signals."""
        fields = [field for field in self.fields if not field.primary_key]
        values = [field.get_db_prep_save(field.pre_save(made, add=True), connection) for field in fields]
        (made.pk,) = row(_insertion(self), values)
        made._state.adding, made._state.db = False, connection.alias


@cache
def _insertion(columns: Columns[Any]) -> str:
    names = [str(field.column) for field in columns.fields if not field.primary_key]
    marks = ", ".join(["%s"] * len(names))
    return f"INSERT INTO {columns.model._meta.db_table} ({', '.join(names)}) VALUES ({marks}) RETURNING id"  # noqa: S608


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
