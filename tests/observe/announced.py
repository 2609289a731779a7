"""Temporary: what rules and dashboards use and no process exposes yet.

Delete this module and its two uses once `tests/observe/test_names.py` passes without them.
"""

from tests.observe.exposed import Exposed

ANNOUNCED: Exposed = {
    "sign_ins_total": {"result"},
    "registrations_total": set(),
    "refreshes_total": {"result"},
    "files_total": {"outcome"},
    "file_links_total": set(),
    "gateway_requests_total": {"service", "status"},
    "gateway_request_duration_seconds_bucket": {"service", "le"},
    "gateway_requests_in_flight": {"service"},
    "gateway_own_answers_total": {"status"},
    "gateway_targets": {"service", "state"},
    "gateway_connect_failures_total": {"service", "reason"},
}
