"""What people see of a project in AWS: its dashboards show what there is, and each alarm says whose it is."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from standin.template import Template, parse, resolve
from tests.answers import each_set_of_answers, left_out, meant
from tests.infra.checks import metrics, names
from tests.infra.rendered import text_of, texts
from tests.infra.samples import sample
from tests.projects import anchors

NAME = names.LONGEST["ProjectName"]
DESCRIPTION = re.compile(r".+\. Owner: (?:data scientist|engineer|owner)\. See docs/runbook\.md#([a-z-]+)")
RULES = ("retraining-due",)
"""Alarms whose change of state is an event that a rule matches."""
SCALES = ("requests-without-instances",)
"""Alarms that start an instance."""
NAMED = {
    "AWS/Events": "AWS::Events::Rule",
    "AWS/Firehose": "AWS::KinesisFirehose::DeliveryStream",
    "AWS/Lambda": "AWS::Lambda::Function",
    "AWS/SQS": "AWS::SQS::Queue",
    "AWS/Scheduler": "AWS::Scheduler::ScheduleGroup",
}
"""By namespace, the type of the resources whose names are the values of its one dimension."""


def project(answers: Mapping[str, str]) -> list[Template]:
    """The resolved templates of a project, with production as its environment, and no shadow but while deploying."""
    written = map(parse, texts(answers).values())
    values = {**names.LONGEST, "ShadowModelPackageArn": ""}
    return [
        resolve(template, {**sample(template), **{key: values[key] for key in values.keys() & parameters(template)}})
        for template in written
    ]


def parameters(template: Template) -> set[str]:
    return set(template.data["Parameters"])


def named(templates: list[Template], type_: str) -> set[str]:
    return {
        str(names.physical_name(template, logical))
        for template in templates
        for logical, _ in template.properties(type_)
    }


def widgets(templates: list[Template], kind: str) -> Iterator[dict[str, Any]]:
    """The properties of the widgets of a kind."""
    for template in templates:
        for _, dashboard in template.properties("AWS::CloudWatch::Dashboard"):
            found = json.loads(dashboard["DashboardBody"])["widgets"]
            yield from (widget["properties"] for widget in found if widget["type"] == kind)


@each_set_of_answers
def test_each_persona_has_a_dashboard(answers: dict[str, str]) -> None:
    full = meant(answers)
    environment = {"operations"} if full["__deploys"] else set()
    environment |= {"model"} if full["__deploys"] and full["__monitors"] else set()
    project_ = {"owner"}
    if full["__deploys"] and full["__account_layout"] != "single":
        environment |= {"owner"} if full["__monitors"] else set()
        project_.add("operations")  # of what trains and deploys
    expected = {f"{NAME}-{persona}" for persona in project_}
    expected |= {f"{NAME}-production-{persona}" for persona in environment}
    assert named(project(answers), "AWS::CloudWatch::Dashboard") == expected


@each_set_of_answers
def test_dashboards_show_only_what_something_publishes(answers: dict[str, str]) -> None:
    templates = project(answers)
    assert metrics.dashboard_findings(templates) == []
    for template in templates:
        for _, metric in metrics.shown(template):
            values = {dimension["Value"] for dimension in metric["Dimensions"]}
            if metric["Namespace"] in NAMED:
                assert values <= named(templates, NAMED[metric["Namespace"]])
            elif not metric["Namespace"].lower().lstrip("/").startswith("aws/"):
                assert metric["Namespace"] in (NAME, "mlops")
            elif metric["Namespace"].endswith("Pipeline"):
                assert values <= {f"{NAME}-training", f"{NAME}-monitoring", "RegisterModel", "RegisterForReview"}


def test_a_misspelt_metric_on_a_dashboard_is_found() -> None:
    templates = project({})
    mutated = [
        replace(template, data=json.loads(json.dumps(template.data).replace("DriftedFeatures", "Drifted")))
        for template in templates
    ]
    (found,) = metrics.dashboard_findings(mutated)
    assert "Drifted by Environment is published by nothing here" in str(found)


@each_set_of_answers
def test_dashboards_show_the_state_of_every_alarm_and_of_no_other(answers: dict[str, str]) -> None:
    templates = project(answers)
    shown = {arn.partition(":alarm:")[2] for widget in widgets(templates, "alarm") for arn in widget["alarms"]}
    alarms = named(templates, "AWS::CloudWatch::Alarm")
    if meant(answers)["__account_layout"] == "organization":  # the accounts of these have topics and no dashboard
        alarms -= {f"{NAME}-not-promoted", f"{NAME}-events-not-delivered"}
    assert shown == (alarms if meant(answers)["__deploys"] else set())


@each_set_of_answers
def test_goals_stand_beside_what_is_measured(answers: dict[str, str]) -> None:
    full = meant(answers)
    lines = {
        (widget["title"], line["label"].partition(":")[0])
        for widget in widgets(project(answers), "metric")
        for line in widget.get("annotations", {}).get("horizontal", [])
    }
    goals = {title for title, label in lines if label == "goal"}
    served, monitored = bool(full["__deploys"] and full["__serves"]), bool(full["__deploys"] and full["__monitors"])
    assert any("milliseconds" in title for title in goals) == served
    assert any("error" in title for title in goals) == served
    assert any("Windows" in title for title in goals) == monitored
    assert any("Days" in title for title in goals) == monitored


@each_set_of_answers
def test_each_alarm_has_an_owner_an_action_and_a_section_in_the_runbook(answers: dict[str, str]) -> None:
    assert "docs/runbook.md" not in left_out(answers)
    sections = anchors(text_of("docs/runbook.md", answers))
    linked = set()
    for template in map(parse, texts(answers).values()):
        for _, alarm in template.properties("AWS::CloudWatch::Alarm"):
            name, said = alarm["AlarmName"]["Fn::Sub"], DESCRIPTION.fullmatch(alarm["AlarmDescription"])
            assert said, name
            assert said[1] in sections, name
            linked.add(said[1])
            notifies = alarm.get("AlarmActions") in ([{"Ref": "TopicArn"}], [{"Ref": "Topic"}])
            assert notifies != name.endswith((*RULES, *SCALES)), name
            assert bool(alarm.get("AlarmActions")) != name.endswith(RULES), name
    headings = re.findall(r"^### ([a-z-]+)$", text_of("docs/runbook.md", answers), re.MULTILINE)
    assert linked == set(headings)


@pytest.mark.parametrize("inference", ["realtime", "serverless", "async", "batch"])
def test_a_dashboard_has_fewer_than_five_hundred_metrics(inference: str) -> None:
    for template in project({"inference": inference}):
        assert len(list(metrics.shown(template))) < 500
