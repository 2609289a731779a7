"""A docker client without an engine: run as a program, it keeps what it is told in a file.

The file is that of DOCKER_STANDIN, a JSON object: `containers`; `named`, the image that has the
services' name; `faults`, in which a command has the line that it fails with; `sick`, whether the
newer build never gets healthy; `restarts`, a container that is restarted while another is stopped;
`full`, whether no more containers are made; `hangs`, in which a command that never ends has the
pipe that tells of its beginning; `joins`, in which a command has the container that somebody else
starts meanwhile; `calls`, all commands so far.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

FILE = "DOCKER_STANDIN"
STARTED = "2026-01-01T00:00:00Z"
SERVICES = ("users", "appointments")
INITS = ("users-init", "appointments-init")


def container(service: str, number: int, *, image: str = "old", running: bool = True) -> Any:
    """A row of `docker inspect`, as much of it as is read."""
    name = f"suite-{service}-{number}"
    return {
        "Id": f"id-of-{name}",
        "Name": f"/{name}",
        "Image": image,
        "Config": {
            "Image": f"suite-{service.removesuffix('-init')}",
            "Labels": {"com.docker.compose.service": service},
        },
        "State": {"Running": running, "StartedAt": STARTED},
        "NetworkSettings": {"Networks": {"suite": {"IPAddress": name if running else ""}}},
    }


def beginning() -> dict[str, Any]:
    """A suite that is up."""
    rows = [container(service, 1) for service in (*SERVICES, "gateway")]
    rows += [container(service, 1, running=False) for service in INITS]
    kept = {"named": "old", "faults": {}, "sick": False, "restarts": None, "full": False}
    return {"containers": rows, "calls": [], "hangs": {}, "joins": {}, **kept}


def compose(state: dict[str, Any], command: str, arguments: list[str]) -> str:
    rows = state["containers"]
    match command:
        case "config":
            return json.dumps({"name": "suite"})
        case "ps":
            return "\n".join(row["Id"] for row in rows)
        case "build":
            state["named"] = "new"
            state["labels"] = [os.environ.get("VERSION"), os.environ.get("REVISION")]
        case "create" if not state["full"]:
            scale = dict(item.split("=") for item in arguments if "=" in item)
            for service in (item for item in arguments if item in (*SERVICES, *INITS)):
                there = [row for row in rows if service_of(row) == service]
                for number in range(len(there), int(scale.get(service, 1))):
                    image = state["named"]
                    rows.append(container(service, number + 1, image=image, running=False))
        case "exec":
            return json.dumps([target(state, row) for row in rows if row["State"]["Running"]])
    return ""


def target(state: dict[str, Any], row: Any) -> dict[str, str]:
    sick = state["sick"] and row["Image"] == "new"
    url = f"http://{address(row)}:8080"
    return {
        "service": service_of(row),
        "url": url,
        "state": "unhealthy" if sick else "healthy",
    }


def service_of(row: Any) -> str:
    return str(row["Config"]["Labels"]["com.docker.compose.service"])


def address(row: Any) -> str:
    return str(row["NetworkSettings"]["Networks"]["suite"]["IPAddress"])


def engine(state: dict[str, Any], command: str, arguments: list[str]) -> str:
    named = [row for row in state["containers"] if row["Id"] in arguments]
    match command:
        case "inspect":
            return json.dumps(named)
        case "start":
            for row in named:
                row["State"]["Running"] = True
                row["NetworkSettings"]["Networks"]["suite"]["IPAddress"] = row["Name"][1:]
        case "stop":
            for row in state["containers"]:
                if row in named:
                    row["State"]["Running"] = False
                elif row["Name"] == f"/{state['restarts']}":
                    row["State"]["StartedAt"] = "2026-01-02T00:00:00Z"
        case "rm":
            state["containers"] = [row for row in state["containers"] if row not in named]
        case "tag":
            state["named"] = arguments[0]
        case "logs":
            return "listening\n"
    return ""


def main() -> None:
    """Do as the client is told, and keep it."""
    file = Path(os.environ[FILE])
    state = json.loads(file.read_text())
    words = [word for word in sys.argv[1:] if word not in ("--project-name", "suite")]
    command, *arguments = words[1:] if words[0] == "compose" else words
    state["calls"].append(command)
    if joining := state["joins"].pop(command, None):
        state["containers"].append(joining)
    if pipe := state["hangs"].get(command):
        keep(file, state)
        Path(pipe).write_text(command)
        signal.pause()
    if fault := state["faults"].get(command):
        answer, code = "", 1
        sys.stderr.write(f"what nobody needs to read\n\n{fault}\n")
    else:
        does = compose if words[0] == "compose" else engine
        answer, code = does(state, command, arguments), 0
    keep(file, state)
    sys.stdout.write(answer)
    sys.exit(code)


def keep(file: Path, state: dict[str, Any]) -> None:
    part = file.with_suffix(".part")
    part.write_text(json.dumps(state))
    part.replace(file)  # whole, whenever this is ended


if __name__ == "__main__":
    main()
