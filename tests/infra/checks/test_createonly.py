from typing import Any

import pytest

from standin.template import resolve
from tests.infra.checks import createonly
from tests.infra.checks.mutants import PARAMETERS, REMOVED, SOUND, changed

BEFORE = resolve(SOUND, PARAMETERS)


def findings(changes: dict[str, Any], *announced: str) -> list[str]:
    return [str(finding) for finding in createonly.findings(BEFORE, resolve(changed(changes), PARAMETERS), announced)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"Handler/Properties/Description": "Another sentence"},
        {"Handler/Properties/Runtime": "python3.14", "Key/Properties/Description": "Another sentence"},
        {"Bus": REMOVED, "BusPolicy": REMOVED},
        {"More": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "more"}}},
    ],
)
def test_what_changes_in_place_is_no_finding(changes: dict[str, Any]) -> None:
    assert findings(changes) == []


def test_a_replacement_is_a_finding_unless_it_is_announced() -> None:
    changes = {"Model/Properties/PrimaryContainer/Image": "111111111111.dkr.ecr.us-east-1.amazonaws.com/churn:1"}
    assert [finding.partition(" (")[0] for finding in findings(changes)] == ["Model", "EndpointConfig"]
    assert findings(changes, "Model", "EndpointConfig") == []


def test_what_mentions_a_replaced_resource_in_such_a_property_is_replaced_with_it() -> None:
    after = resolve(changed({"Model/Properties/EnableNetworkIsolation": False}), PARAMETERS)
    assert createonly.replaced(BEFORE, after) == {
        "Model": ["EnableNetworkIsolation"],
        "EndpointConfig": ["ProductionVariants"],
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"Models/Properties/ModelPackageGroupDescription": "version 2"},
            "changing ModelPackageGroupDescription replaces",
        ),
        ({"Features/Properties/Tags/2/Value": "production"}, "changing Tags replaces"),
        ({"Claims/Properties/KeySchema/0/AttributeName": "id"}, "changing KeySchema replaces"),
        ({"Endpoint/Properties/EndpointName": "another"}, "changing EndpointName replaces"),
        ({"Bus/Type": "AWS::SNS::Topic", "BusPolicy": REMOVED}, "changing Type replaces"),
    ],
)
def test_what_has_a_name_is_never_replaced(changes: dict[str, Any], message: str) -> None:
    found = findings(changes, "Models", "Features", "Claims", "Endpoint", "Bus")
    assert any(message in finding and "never replaced" in finding for finding in found), found


def test_a_name_does_not_move_to_another_logical_id() -> None:
    renamed = {
        "Alerts": SOUND.resources["Topic"],
        "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "x"}},
    }
    assert any(
        "was Topic before: it cannot be made while that exists" in finding for finding in findings(renamed, "Topic")
    )
