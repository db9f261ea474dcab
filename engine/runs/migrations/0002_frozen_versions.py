"""The database itself refuses to change a published version."""

from __future__ import annotations

from typing import Any

from django.db import migrations

POSTGRESQL = """
CREATE FUNCTION engine_version_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'version % is published and cannot be changed', OLD.number USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER engine_version_frozen BEFORE UPDATE ON engine_workflowversion
    FOR EACH ROW EXECUTE FUNCTION engine_version_frozen();
ALTER TABLE engine_attempt SET (fillfactor = 70);
ALTER TABLE engine_runtask SET (fillfactor = 70);
ALTER TABLE engine_run SET (fillfactor = 70);
"""
POSTGRESQL_UNDO = """
DROP TRIGGER engine_version_frozen ON engine_workflowversion;
DROP FUNCTION engine_version_frozen();
"""
# Changing this table's columns later makes SQLite build it anew, which loses the trigger: create it again then.
SQLITE = """
CREATE TRIGGER engine_version_frozen BEFORE UPDATE ON engine_workflowversion
BEGIN
    SELECT RAISE(ABORT, 'a published version cannot be changed');
END
"""


def freeze(apps: Any, schema_editor: Any) -> None:
    schema_editor.execute(POSTGRESQL if schema_editor.connection.vendor == "postgresql" else SQLITE, params=None)


def thaw(apps: Any, schema_editor: Any) -> None:
    on_postgresql = schema_editor.connection.vendor == "postgresql"
    schema_editor.execute(POSTGRESQL_UNDO if on_postgresql else "DROP TRIGGER engine_version_frozen", params=None)


class Migration(migrations.Migration):
    dependencies = [("engine", "0001_initial")]
    operations = [migrations.RunPython(freeze, thaw)]
