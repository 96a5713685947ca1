"""Tests that share something expensive run on one worker, as `make test` asks for."""

import pytest


@pytest.mark.xdist_group("together")
def test_workers_are_told_what_belongs_together(request: pytest.FixtureRequest) -> None:
    by_groups = request.config.getoption("loadgroup", default=False)
    assert request.node.nodeid.endswith("@together") == by_groups
