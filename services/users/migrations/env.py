"""Runs the scripts on the connection that `store_mysql.migrating` has opened and locked."""

from alembic import context
from sqlalchemy import Connection

from users_service.store_mysql.tables import metadata

connection: Connection | None = context.config.attributes["connection"]
if connection is None:
    raise RuntimeError("run `python -m users_service migrate`")

# The caller has begun where there is something to begin; every statement counts at once otherwise.
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=False)
context.run_migrations()
