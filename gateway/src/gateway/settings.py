"""The gateway's settings, from the environment; the README lists them."""

import os
import socket
from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.targets import Algorithm

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Checks = Annotated[int, Field(ge=1, le=10)]
Port = Annotated[int, Field(ge=0, le=65_535)]


class Settings(BaseSettings):
    """Settings with the prefix GATEWAY_; the defaults are those of the load balancer."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", frozen=True)

    host: str = "127.0.0.1"
    port: Port = 8080
    targets_file: Path
    algorithm: Algorithm = "round_robin"
    health_interval_seconds: Seconds = 30.0
    health_timeout_seconds: Seconds = 5.0
    healthy_threshold: Checks = 5
    unhealthy_threshold: Checks = 2
    idle_timeout_seconds: Annotated[float, Field(gt=0, lt=75)] = 60.0
    connect_timeout_seconds: Seconds = 10.0
    deregistration_delay_seconds: Annotated[float, Field(ge=0, le=3600)] = 300.0
    access_log: bool = True
    admin_host: str = "127.0.0.1"
    admin_port: Port | None = None
    instance: str = Field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")
