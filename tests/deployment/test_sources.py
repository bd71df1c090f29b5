"""The readers of the sources find what is known to be there: a reader that found nothing would let everything else pass."""

import sources


def test_metrics_are_found_with_their_labels():
    found = sources.metrics()
    assert found["csa_upload_total"] == set()
    assert found["registry_http_requests_total"] == {"route", "method", "status"}
    assert found["registry_http_request_duration_seconds_bucket"] == {"route", "le"}
    assert found["skill_execution_total"] == {"skill_id", "status"}
    assert found["phase_transition_duration_seconds_count"] == {"from", "to"}
    assert found["control_overruns_total"] == set()


def test_routes_and_the_drain_are_found():
    assert {"/health", "/health/database", "/metrics"} <= sources.routes()
    assert sources.drain_seconds() > 0
