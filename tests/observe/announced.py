"""Temporary: what rules and dashboards use and no process exposes yet.

Delete this module and its uses in test_names.py and tests/compose/test_observe.py once they pass
without it.
"""

from tests.observe.exposed import Exposed

ANNOUNCED: Exposed = {
    "sign_ins_total": {"result"},
    "registrations_total": set(),
    "refreshes_total": {"result"},
    "files_total": {"outcome"},
    "file_links_total": set(),
}
