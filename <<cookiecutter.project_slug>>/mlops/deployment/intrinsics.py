"""CloudFormation's intrinsic functions, as far as they can be evaluated before a deployment.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
"""

import re
from collections.abc import Mapping
from typing import Any

_PLACE = re.compile(r"\$\{([^!{}][^{}]*)\}")


def text(expression: Any, values: Mapping[str, str]) -> str:
    """Evaluate a literal, `Ref` or `Fn::Sub`.

    Args:
        expression: The expression, functions in their long form.
        values: Parameters and pseudo parameters by name.

    Raises:
        LookupError: Its value is known only after a deployment, or the function is not supported.
    """
    match expression:
        case str() | int() | float():
            return str(expression)
        case {"Ref": str(name)}:
            return values[name]
        case {"Fn::Sub": str(pattern)}:
            return _PLACE.sub(lambda place: values[place[1]], pattern).replace("${!", "${")
    raise LookupError(str(expression))


def holds(condition: Any, conditions: Mapping[str, Any], values: Mapping[str, str]) -> bool:
    """Evaluate a condition.

    Args:
        condition: The condition, functions in their long form.
        conditions: The template's named conditions.
        values: Parameters and pseudo parameters by name.

    Raises:
        LookupError: As for `text`.
    """
    match condition:
        case {"Condition": str(name)}:
            return holds(conditions[name], conditions, values)
        case {"Fn::Equals": [left, right]}:
            return text(left, values) == text(right, values)
        case {"Fn::Not": [other]}:
            return not holds(other, conditions, values)
        case {"Fn::And": list(parts)}:
            return all(holds(part, conditions, values) for part in parts)
        case {"Fn::Or": list(parts)}:
            return any(holds(part, conditions, values) for part in parts)
    raise LookupError(str(condition))
