"""What the real processes expose at /metrics: each sample's name, with the names of its labels."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.parser import text_string_to_metric_families

import appointments_service.app
import appointments_service.settings
import files_service.app
import files_service.settings
import gateway.settings
import users_service.app
from gateway.app import run_gateway
from servicekit.health import METRICS
from servicekit.testing import TokenMint
from tests.users.conftest import settings_for

Exposed = dict[str, set[str]]

# Nobody listens there: what a process counts it knows without its neighbours.
_NOWHERE = "127.0.0.1:1"


async def exposed(folder: Path) -> Exposed:
    """Of all four processes together. What they need is away, which keeps none from starting."""
    found: Exposed = {}
    for app in _services(_key(folder)):
        async with TestServer(app):
            registry = app[METRICS].registry
            _add(found, _declared(registry))
            _add(found, _samples(registry.collect()))
    _add(found, _samples(text_string_to_metric_families(await _of_gateway(folder))))
    return found


def _services(service_key: Path) -> Iterator[web.Application]:
    yield users_service.app.create_app(settings_for(f"mysql+aiomysql://nobody@{_NOWHERE}/none"))
    yield appointments_service.app.create_app(
        appointments_service.settings.Settings(
            dynamodb_endpoint=f"http://{_NOWHERE}", mail="ses", service_key_file=service_key
        )
    )
    yield files_service.app.create_app(
        files_service.settings.Settings(s3_endpoint=f"http://{_NOWHERE}")
    )


def _key(folder: Path) -> Path:
    """A service's key: with one, appointments has mails to count."""
    path = folder / "service.pem"
    path.write_bytes(
        TokenMint().private_key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path


async def _of_gateway(folder: Path) -> str:
    """Its /metrics, once it has answered a request: by itself, for nobody is registered."""
    targets = folder / "targets.json"
    targets.write_text('{"users": [], "appointments": [], "files": []}')
    settings = gateway.settings.Settings(
        port=0, admin_port=0, access_log=False, targets_file=targets
    )
    async with run_gateway(settings) as running, aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{running.port}/v1/users/me") as answer:
            assert answer.status == 503
        async with session.get(f"http://127.0.0.1:{running.admin_port}/metrics") as answer:
            assert answer.status == 200
            return await answer.text()


def _declared(registry: CollectorRegistry) -> Iterator[tuple[str, set[str]]]:
    """What never happened has no sample yet: only the library's own books know of it."""
    for collector, names in registry._collector_to_names.items():
        labels = set(getattr(collector, "_labelnames", ()))
        for name in names:
            yield name, labels | ({"le"} if name.endswith("_bucket") else set())


def _samples(families: Iterable[Metric]) -> Iterator[tuple[str, set[str]]]:
    for family in families:
        for sample in family.samples:
            yield sample.name, set(sample.labels)


def _add(found: Exposed, samples: Iterable[tuple[str, set[str]]]) -> None:
    for name, labels in samples:
        found.setdefault(name, set()).update(labels)
