"""A program that supervises stand-ins: prints their process ids and goes on for ever."""

import asyncio
import json
import sys
from pathlib import Path

from tests.tools.standins import service
from tools.supervisor import Supervisor


async def main(directory: Path, names: list[str]) -> None:
    supervisor = Supervisor(
        [],
        [service(name, directory) for name in names],
        changed=lambda: None,
        say=lambda *_: None,
    )
    await supervisor.start()
    json.dump([instance.pid for instance in supervisor.instances.values()], sys.stdout)
    sys.stdout.write("\n")
    sys.stdout.flush()
    await supervisor.failed()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
