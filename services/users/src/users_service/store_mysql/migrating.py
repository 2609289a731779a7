"""Brings a database to the newest revision, by Alembic's scripts in `migrations/`."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.util import greenlet_spawn

from users_service.errors import StoreUnavailableError
from users_service.store_mysql.access import Access
from users_service.store_mysql.database import make_engine

_LOCK: Final = "users_service.migrate"
_LOCK_SECONDS: Final = 120

_PACKAGE: Final = Path(__file__).parents[1]
# Inside of the package where it is installed, beside `src` where it is developed.
_PLACES: Final = (_PACKAGE / "migrations", _PACKAGE.parents[1] / "migrations")


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's configuration for a connection that is open already."""
    config = Config()
    config.set_main_option("script_location", str(next(filter(Path.is_dir, _PLACES))))
    config.attributes["connection"] = connection
    return config


async def migrate(url: str, revision: str = "head", access: Access | None = None) -> None:
    """Upgrades (or, to an older revision, downgrades) the database; nothing if it is there.

    Of several that run at once one does it and the others wait.

    Raises:
        StoreUnavailableError: the database is away, or another's migration doesn't end.
    """
    engine = make_engine(url, pool_size=1, access=access)
    try:
        await greenlet_spawn(_migrate, engine, revision)
    except (OperationalError, OSError) as error:
        raise StoreUnavailableError(f"the database can't be migrated: {error}") from error
    finally:
        await greenlet_spawn(engine.dispose)


def _migrate(engine: Engine, revision: str) -> None:
    """Under a lock: SQLite's own, for the length of the transaction; on MySQL a named one, since
    there every change of a table commits by itself.
    """
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            _move(connection, revision)
            connection.exec_driver_sql("COMMIT")
            return
        # Given back when the connection is closed.
        lock = {"name": _LOCK, "seconds": _LOCK_SECONDS}
        if connection.scalar(text("SELECT GET_LOCK(:name, :seconds)"), lock) != 1:
            raise StoreUnavailableError("another migration is under way and doesn't end")
        _move(connection, revision)


def _move(connection: Connection, revision: str) -> None:
    config = configuration(connection)
    if revision == "head":
        command.upgrade(config, revision)
    else:
        command.downgrade(config, revision)
