"""./dev up whose password hashes cost little, so that tests can register people by the hundred.

What a hash costs is a setting of users; at the real one, most of a run would be argon2id.
"""

import sys

from tools import suite, up


class QuickSuite(suite.Suite):
    """The suite as it is, but for that setting."""

    def _users_settings(self) -> dict[str, str]:
        return {
            **super()._users_settings(),
            "USERS_ARGON2_TIME_COST": "1",
            "USERS_ARGON2_MEMORY_KIB": "64",
            "USERS_ARGON2_PARALLELISM": "1",
        }


if __name__ == "__main__":
    vars(up)["Suite"] = QuickSuite
    sys.exit(up.main(sys.argv[1:]))
