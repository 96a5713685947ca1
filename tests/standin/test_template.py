import json
import re
from typing import Any

import pytest

from standin.template import is_known, parse, resolve, unsatisfied


def resolved(value: str, parameters: dict[str, Any] | None = None) -> Any:
    template = parse(f"""
Parameters:
  Name: {{Type: String, Default: visits}}
  Count: {{Type: Number, Default: 2}}
  Subnets: {{Type: CommaDelimitedList, Default: "a,b"}}
  Image: {{Type: AWS::SSM::Parameter::Value<String>, Default: /images/newest}}
Mappings: {{Images: {{us-east-1: {{Tag: "3.2"}}}}}}
Conditions:
  One: !Equals [!Ref Count, 1]
  Several: !Not [!Condition One]
  Both: !And [!Condition One, !Condition Several]
  Either: !Or [!Condition One, !Condition Several]
Resources:
  Bucket: {{Type: "AWS::S3::Bucket"}}
  Gone: {{Type: "AWS::S3::Bucket", Condition: One}}
  It: {{Type: "AWS::SSM::Parameter", Properties: {{Value: {value}}}}}
""")
    return resolve(template, parameters).resources["It"]["Properties"].get("Value", "nothing")


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        ("!Ref Name", "visits"),
        ("!Ref Count", "2"),
        ("!Ref Subnets", ["a", "b"]),
        ("!Ref Image", "{{resolve:ssm:/images/newest}}"),
        ("!Ref AWS::Region", "us-east-1"),
        ("!Ref Bucket", "{{Bucket}}"),
        ("!GetAtt Bucket.Arn", "{{Bucket.Arn}}"),
        ("{Fn::GetAtt: [Bucket, Arn]}", "{{Bucket.Arn}}"),
        ('!Sub "${Name}-${Bucket.Arn}-${!Name}"', "visits-{{Bucket.Arn}}-${Name}"),
        ('!Sub ["${Name}-${X}", {X: !Ref Count}]', "visits-2"),
        ('!Join ["-", [!Ref Name, x]]', "visits-x"),
        ("!Select [1, !Ref Subnets]", "b"),
        ('!Split [",", "x,y"]', ["x", "y"]),
        ("!If [One, single, !If [Several, several, none]]", "several"),
        ("!If [Both, both, !If [Either, either, none]]", "either"),
        ("!If [One, x, !Ref AWS::NoValue]", "nothing"),
        ("[!If [One, x, !Ref AWS::NoValue], y]", ["y"]),
        ("!FindInMap [Images, !Ref AWS::Region, Tag]", "3.2"),
        ("!Select [0, !GetAZs '']", "us-east-1a"),
        ("!Cidr [10.0.0.0/16, 2, 8]", ["10.0.0.0/24", "10.0.1.0/24"]),
        ("!Base64 hi", "aGk="),
        ("!ImportValue there", "{{import:there}}"),
        ("2012-10-17", "2012-10-17"),
        ("{Condition: {Bool: {x: true}}}", {"Condition": {"Bool": {"x": True}}}),
    ],
)
def test_a_value_resolves_to_what_cloudformation_makes_of_it(value: str, meaning: Any) -> None:
    assert resolved(value) == meaning


def test_given_parameters_come_before_defaults() -> None:
    assert resolved("!If [One, !Ref Name, !Ref Image]", {"Count": 1, "Name": "other"}) == "other"
    assert resolved("!Ref Image", {"Image": "newest"}) == "newest"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("!Ref Buckett", "nothing is called Buckett"),
        ('!Sub "${Buckett.Arn}"', "nothing is called Buckett"),
        ("!GetAtt Gone.Arn", "a condition leaves out"),
        ("!If [Few, a, b]", "no condition Few"),
        ("!FindInMap [Images, eu-west-1, Tag]", "no mapping leads to eu-west-1"),
        ("!Transform {Name: x}", "Fn::Transform is not a function"),
    ],
)
def test_a_reference_that_leads_nowhere_is_refused(value: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolved(value)


def test_a_parameter_needs_a_value_and_a_value_a_parameter() -> None:
    template = parse("Parameters: {Name: {Type: String}}\nResources: {}")
    with pytest.raises(ValueError, match="parameter Name has no value"):
        resolve(template)
    with pytest.raises(ValueError, match="no such parameter: Nmae"):
        resolve(template, {"Nmae": "x"})


@pytest.mark.parametrize(
    ("declared", "taken", "refused", "reason"),
    [
        ({"Type": "Number"}, "1.5", "much", "must be a number"),
        ({"Type": "Number", "MinValue": 1}, "1", "0.5", "outside MinValue and MaxValue"),
        ({"Type": "Number", "MinValue": 0, "MaxValue": 1}, "0.05", "2", "outside MinValue and MaxValue"),
        ({"Type": "Number", "AllowedValues": [1, 3]}, "3", "2", r"must be one of \[1, 3\]"),
        ({"Type": "String", "AllowedPattern": "|https://.+"}, "", "http://x", "must match pattern"),
        ({"Type": "String", "AllowedPattern": "[1-4]"}, "4", "2.5", "must match pattern"),
        ({"Type": "String", "MinLength": 2, "MaxLength": 3}, "abc", "a", "outside MinLength and MaxLength"),
        ({"Type": "CommaDelimitedList", "AllowedPattern": "sg-.+"}, "sg-1,sg-2", "sg-1,x", "must match pattern"),
        ({"Type": "String", "AllowedPattern": "[1-4]", "ConstraintDescription": "a digit"}, "1", "5", "a digit$"),
    ],
)
def test_a_parameter_takes_what_its_constraints_allow(
    declared: dict[str, Any], taken: str, refused: str, reason: str
) -> None:
    assert unsatisfied("Size", declared, taken) is None
    said = unsatisfied("Size", declared, refused)
    assert said is not None
    assert re.search(f"Parameter Size failed to satisfy constraint: .*{reason}", said)


def test_what_a_condition_leaves_out_is_gone() -> None:
    template = parse("""
Conditions: {Never: !Equals [a, b]}
Resources: {A: {Type: "AWS::SNS::Topic", Condition: Never}, B: {Type: "AWS::SNS::Topic"}}
Outputs: {A: {Condition: Never, Value: !Ref A}}
""")
    data = resolve(template).data
    assert list(data["Resources"]) == ["B"]
    assert data["Outputs"] == {}


def test_a_key_that_is_written_twice_is_refused_with_its_line() -> None:
    with pytest.raises(ValueError, match="line 3: A is written twice"):
        parse("Resources:\n  A: {}\n  A: {}\n")


def test_a_finding_has_the_line_of_the_closest_value_that_was_written() -> None:
    template = parse('Resources:\n  A:\n    Type: "AWS::SNS::Topic"\n    Properties:\n      TopicName: x\n')
    assert (
        str(template.finding("too short", "A", "Properties", "TopicName"))
        == "A/Properties/TopicName (line 5): too short"
    )
    assert template.finding("", "A", "Properties", "Tags", 0).where == "A/Properties/Tags/0 (line 4)"


def test_json_is_read_as_well() -> None:
    assert parse(json.dumps({"Resources": {"A": {"Type": "T"}}})).resources == {"A": {"Type": "T"}}


def test_a_stand_in_is_not_known_before_the_deployment() -> None:
    assert is_known({"a": ["text", 1]})
    assert not is_known({"a": ["{{Bucket.Arn}}/*"]})


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ("\n  One: &one {A: b}\n  Two: *one", "repeated by an alias"),
        ("\n  One: &one x\n  Two: *one", "repeated by an alias"),
        ("\n  One: {<<: {A: b}}", "a mapping is merged into another"),
    ],
)
def test_what_cloudformation_does_not_read_of_yaml_is_refused(properties: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(f"Resources:{properties}")
