from typing import Any

import pytest

from standin.patterns import LONGEST_PATTERN, faults, matches

APPROVED = {
    "source": ["aws.sagemaker"],
    "detail-type": ["SageMaker Model Package State Change"],
    "detail": {"ModelApprovalStatus": ["Approved", "Rejected"], "UpdatedModelPackageFields": ["ModelApprovalStatus"]},
}


def event(**detail: Any) -> dict[str, Any]:
    return {
        "version": "0",
        "source": "aws.sagemaker",
        "detail-type": "SageMaker Model Package State Change",
        "detail": {"ModelApprovalStatus": "Approved", "UpdatedModelPackageFields": ["ModelApprovalStatus"], **detail},
    }


def test_an_approval_matches_and_a_write_of_metadata_does_not() -> None:
    assert matches(APPROVED, event())
    assert matches(APPROVED, event(UpdatedModelPackageFields=["CustomerMetadataProperties", "ModelApprovalStatus"]))
    assert not matches(APPROVED, event(UpdatedModelPackageFields=["CustomerMetadataProperties"]))
    assert not matches(APPROVED, event(ModelApprovalStatus="PendingManualApproval"))


@pytest.mark.parametrize(
    ("condition", "yes", "no"),
    [
        ("a", ["a", ["b", "a"], [["a"]]], ["A", "ab", 1, None, [], {"a": "a"}]),
        (300, [300], [300.0, "300", True]),
        (True, [True], ["true", 1]),
        (None, [None], ["", "null"]),
        ("", [""], [None]),
        ({"prefix": "eu-"}, ["eu-west-1"], ["us-east-1", "EU-west-1", 1]),
        ({"prefix": {"equals-ignore-case": "EU-"}}, ["eu-west-1", "Eu-x"], ["us-east-1"]),
        ({"suffix": ".csv"}, ["x.csv"], ["x.csvx", "x.CSV"]),
        ({"suffix": {"equals-ignore-case": ".csv"}}, ["x.CSV"], ["x.tsv"]),
        ({"equals-ignore-case": "Alice"}, ["ALICE", "alice"], ["alic", 1]),
        (
            {"wildcard": "data/*/x.csv"},
            ["data/a/x.csv", "data//x.csv", "data/a/b/x.csv"],
            ["data/x.csv", "xdata/a/x.csv"],
        ),
        ({"wildcard": r"a\*b\\*"}, ["a*b\\", "a*b\\c"], ["axb\\", "a*b"]),
        ({"wildcard": "a.c"}, ["a.c"], ["abc"]),
        ({"anything-but": "a"}, ["b", 1, ["a", "b"]], ["a", [], ["a"]]),
        ({"anything-but": ["a", "b"]}, ["c", ["a", "c"]], ["a", "b", ["a", "b"]]),
        ({"anything-but": [1, 2]}, [3, "1"], [1, 2]),
        ({"anything-but": {"prefix": "x"}}, ["y"], ["xy"]),
        ({"anything-but": {"suffix": ["x", "y"]}}, ["z"], ["ax", "ay"]),
        ({"anything-but": {"equals-ignore-case": ["A", "B"]}}, ["c"], ["a", "B"]),
        ({"anything-but": {"wildcard": "*/lib/*"}}, ["/src/a"], ["/lib/a"]),
        ({"numeric": [">", 0, "<=", 5]}, [1, 5, 4.5], [0, 6, "1", True, None]),
        ({"numeric": ["=", 300]}, [300, 300.0], [301]),
        ({"cidr": "10.0.0.0/24"}, ["10.0.0.255"], ["10.0.1.0", "x", 7, None]),
        ({"cidr": "2001:db8::/32"}, ["2001:db8::1"], ["10.0.0.1"]),
        ({"exists": True}, ["x", "", None, 0], [[], {"a": 1}]),
        ({"exists": False}, [[], {"a": 1}], ["x", None]),
    ],
)
def test_an_operator_matches_these_values_and_not_those(condition: Any, yes: list[Any], no: list[Any]) -> None:
    pattern = {"detail": {"x": [condition]}}
    assert list(faults(pattern)) == []
    assert [value for value in yes if not matches(pattern, {"detail": {"x": value}})] == []
    assert [value for value in no if matches(pattern, {"detail": {"x": value}})] == []


def test_a_field_that_is_absent_matches_only_that_it_does_not_exist() -> None:
    for condition in ("a", None, {"anything-but": "a"}, {"exists": True}):
        assert not matches({"detail": {"x": [condition]}}, {"detail": {}})
        assert not matches({"detail": {"x": {"y": [condition]}}}, {"detail": {"x": "text"}})
    assert matches({"detail": {"x": [{"exists": False}]}}, {})


def test_one_of_several_conditions_is_enough() -> None:
    pattern = {"detail": {"x": [{"prefix": "a"}, {"numeric": [">", 1]}, None]}}
    assert all(matches(pattern, {"detail": {"x": value}}) for value in ("ab", 2, None))
    assert not matches(pattern, {"detail": {"x": "b"}})


def test_or_needs_one_alternative_and_everything_beside_it() -> None:
    pattern = {"source": ["s"], "detail": {"$or": [{"a": ["1"]}, {"b": ["2"], "c": ["3"]}]}}
    assert list(faults(pattern)) == []
    assert matches(pattern, {"source": "s", "detail": {"a": "1"}})
    assert matches(pattern, {"source": "s", "detail": {"b": "2", "c": "3"}})
    assert not matches(pattern, {"source": "s", "detail": {"b": "2"}})
    assert not matches(pattern, {"source": "t", "detail": {"a": "1"}})


def test_fields_of_an_array_of_objects_match_in_the_same_object() -> None:
    pattern = {"detail": {"items": {"name": ["a"], "state": ["done"]}}}
    assert matches(pattern, {"detail": {"items": [{"name": "b"}, {"name": "a", "state": "done"}]}})
    assert not matches(pattern, {"detail": {"items": [{"name": "a", "state": "new"}, {"name": "b", "state": "done"}]}})


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ({}, "not an object with fields"),
        ([], "not an object with fields"),
        ({"detail": {}}, "detail is not an object with fields"),
        ({"detail": {"x": "Approved"}}, "detail.x is not a list of values"),
        ({"detail": {"x": []}}, "detail.x is not a list of values"),
        ({"detail": {"x": [["a"]]}}, "a list in a list"),
        ({"detail-typ": ["x"]}, "no field detail-typ"),
        ({"$or": [{"sourc": ["a"]}, {"source": ["b"]}]}, "no field sourc"),
        ({"detail": {"$or": [{"a": ["b"]}]}}, "two or more alternatives"),
        ({"detail": {"$or": [{"a": ["b"]}, {"a": "b"}]}}, r"detail.$or[1].a is not a list"),
        ({"detail": {"x": [{"prefx": "a"}]}}, "no operator prefx"),
        ({"detail": {"x": [{"prefix": "a", "suffix": "b"}]}}, "one operator in each object"),
        ({"detail": {"x": [{}]}}, "one operator in each object"),
        ({"detail": {"x": [{"prefix": 1}]}}, "prefix does not take 1"),
        ({"detail": {"x": [{"suffix": ""}]}}, "suffix does not take"),
        ({"detail": {"x": [{"exists": "true"}]}}, "exists does not take"),
        ({"detail": {"x": [{"wildcard": "a**"}]}}, "wildcard does not take"),
        ({"detail": {"x": [{"wildcard": "a\\b"}]}}, "wildcard does not take"),
        ({"detail": {"x": [{"cidr": "10.0.0.0"}]}}, "cidr does not take"),
        ({"detail": {"x": [{"cidr": "10.0.0.0/33"}]}}, "cidr does not take"),
        ({"detail": {"x": [{"numeric": [">", "0"]}]}}, "numeric does not take"),
        ({"detail": {"x": [{"numeric": ["=>", 0]}]}}, "numeric does not take"),
        ({"detail": {"x": [{"numeric": ["<", 0, ">", 5]}]}}, "numeric does not take"),
        ({"detail": {"x": [{"numeric": [">", 5, "<", 0]}]}}, "numeric does not take"),
        ({"detail": {"x": [{"numeric": [">", 6e9]}]}}, "numeric does not take"),
        ({"detail": {"x": [{"anything-but": []}]}}, "anything-but does not take"),
        ({"detail": {"x": [{"anything-but": ["a", 1]}]}}, "anything-but does not take"),
        ({"detail": {"x": [{"anything-but": {"numeric": [">", 0]}}]}}, "anything-but does not take"),
        ({"detail": {"x": [{"anything-but": {"prefix": []}}]}}, "anything-but does not take"),
        ({"detail": {"x": ["a" * LONGEST_PATTERN]}}, "longer than 2048"),
    ],
)
def test_a_pattern_that_the_service_refuses_is_found(pattern: Any, message: str) -> None:
    found = list(faults(pattern))
    assert any(message in fault for fault in found), found
