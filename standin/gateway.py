"""What stands in front of moto's server: it knows who calls, and in which account a request is to be answered.

Operations that moto lacks are answered here; all of them speak JSON and name the operation in a header. The rest is
left to moto.
"""

import io
import json
import re
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import botocore.session

from standin import buses
from standin.assuming import require_trust
from standin.calls import Call
from standin.crossing import CROSSINGS, ForbiddenError, account_reached, in_its_account, require_open
from standin.gaps import Message, Named, Records, RefusedError, Where, operations
from standin.principals import CALLER, account_of, account_of_key, administrator, role_of_token

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

CUSTOM_RESOURCES = "/custom-resource/"
"""Where the functions of custom resources answer, followed by the id of the request."""

_BOTOCORE = botocore.session.get_session()
_LISTS = frozenset(f"SageMaker.List{things}" for things in ("EndpointConfigs", "Endpoints", "Models"))
_FORBIDDEN = {"lambda": "AccessDeniedException", "sns": "AuthorizationError"}
_INVOKE = re.compile(r"/2015-03-31/functions/(arn:[^/]+)/invocations")


def _signed(authorization: str) -> tuple[Where, str]:
    """Where a signed request goes, into the account of the key, and to which service."""
    key, _, region, service, *_ = authorization.partition("Credential=")[2].split("/")
    return Where(account_of_key(key), region), service


class Gateway:
    """A WSGI application that answers what moto lacks and hands everything else on.

    Args:
        moto: The application of moto's server.
        more: Further operations that are answered here.
        limits: What may refuse an operation, before that is answered here or by moto.

    Attributes:
        records: What is kept here.
        answers: What functions of custom resources answered, by request; taken out when it is read.
    """

    def __init__(self, moto: Wsgi, more: Named, limits: Named) -> None:
        self._moto = moto
        self.records: Records = {}
        self.answers: dict[str, Message] = {}
        self._operations = _by_target({**operations(self.records), **buses.operations(self.records), **more})
        self._limits = _by_target(limits)
        self._crossings = _by_target({name: name for name in CROSSINGS})

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request, or hand it on."""
        path: str = environ["PATH_INFO"]
        if path.startswith(CUSTOM_RESOURCES):
            self.answers[path.removeprefix(CUSTOM_RESOURCES)] = json.loads(_read(environ))
            start_response("200 OK", [("Content-Length", "0")])
            return []
        if "HTTP_AUTHORIZATION" not in environ:  # a URL that was signed, an operation that anybody may call
            return self._moto(environ, start_response)
        where, service = _signed(environ["HTTP_AUTHORIZATION"])
        role = role_of_token(environ.get("HTTP_X_AMZ_SECURITY_TOKEN"))
        before = CALLER.set(role or administrator(where.account))
        try:
            if service in ("lambda", "sns", "sts"):
                return self._handed_on(environ, start_response, where, service)
            return self._answer(environ, start_response, where)
        finally:
            CALLER.reset(before)

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any], where: Where) -> Iterable[bytes]:
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        operation, limit = self._operations.get(target), self._limits.get(target)
        crossing = self._crossings.get(target)
        if operation is None and limit is None and crossing is None:
            answered = self._moto(_in(where, environ), start_response)
            return map(_in_lower_case, answered) if target in _LISTS else answered
        request = json.loads(_read(environ))
        try:
            if crossing:
                where = where._replace(account=account_reached(crossing, request, where))
                request = in_its_account(request)
            if limit:
                limit(where, request)
            if operation is None:
                return self._moto(_with_body(_in(where, environ), json.dumps(request).encode()), start_response)
            status, answer = HTTPStatus.OK, operation(where, request)
        except RefusedError as refused:
            status, answer = HTTPStatus.BAD_REQUEST, {"__type": refused.code, "message": str(refused)}
        except ForbiddenError as forbidden:
            status, answer = HTTPStatus.BAD_REQUEST, {"__type": "AccessDeniedException", "message": str(forbidden)}
        return _said(start_response, status, "application/x-amz-json-1.1", json.dumps(answer, default=str))

    def _handed_on(
        self, environ: dict[str, Any], start_response: Callable[..., Any], where: Where, service: str
    ) -> Iterable[bytes]:
        """Hand on what does not name its operation in a header, to the account that it is about."""
        request: Message = {}
        if service in ("sns", "sts"):
            content = _read(environ)
            environ = _with_body(environ, content)
            request = {name: values[0] for name, values in parse_qs(content.decode()).items()}
        elif invoked := _INVOKE.fullmatch(environ["PATH_INFO"]):
            request = {"Action": "Invoke", "FunctionName": invoked[1]}
        try:
            if request.get("Action", "").startswith("AssumeRole"):
                require_trust(CALLER.get(), request)
            elif request:
                where = where._replace(account=_reached(request, service, where))
        except (ForbiddenError, RefusedError) as refused:
            return _refusal(start_response, service, refused)
        return self._moto(_in(where, environ), start_response)


def _reached(request: Message, service: str, where: Where) -> str:
    """The account of the topic or function that a request is about.

    Raises:
        ForbiddenError: It is another one than the caller's, which does not allow the call.
    """
    named = next((request[name] for name in ("TopicArn", "TargetArn", "FunctionName") if name in request), "")
    account = account_of(named) or where.account
    if account != where.account:
        names = {"FunctionName" if service == "lambda" else "TopicArn": named}
        require_open(Call(CALLER.get(), service, request["Action"], names, where.region))
    return account


def _in_lower_case(content: bytes) -> bytes:
    """A list whose ARNs are in lower case, as SageMaker has sent them, and by which it finds nothing.

    https://github.com/boto/boto3/issues/4606
    """
    return re.sub(rb'"arn:aws:sagemaker:[^"]*"', lambda arn: arn[0].lower(), content)


def _in(where: Where, environ: dict[str, Any]) -> dict[str, Any]:
    """A request that moto answers in an account."""
    return {**environ, "HTTP_X_MOTO_ACCOUNT_ID": where.account}


def _read(environ: Mapping[str, Any]) -> bytes:
    content: bytes = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    return content


def _with_body(environ: dict[str, Any], content: bytes) -> dict[str, Any]:
    return {**environ, "wsgi.input": io.BytesIO(content), "CONTENT_LENGTH": str(len(content))}


def _said(start_response: Callable[..., Any], status: HTTPStatus, kind: str, text: str) -> Iterable[bytes]:
    content = text.encode()
    start_response(f"{status} {status.phrase}", [("Content-Type", kind), ("Content-Length", str(len(content)))])
    return [content]


def _refusal(start_response: Callable[..., Any], service: str, refused: Exception) -> Iterable[bytes]:
    """A refusal as the protocols say it that do not name operations in a header."""
    code = refused.code if isinstance(refused, RefusedError) else _FORBIDDEN[service]
    status = HTTPStatus.BAD_REQUEST if code == "ValidationError" else HTTPStatus.FORBIDDEN
    if service == "lambda":
        answer = json.dumps({"__type": code, "Message": str(refused)})
        return _said(start_response, status, "application/json", answer)
    answer = f"<Error><Code>{code}</Code><Message>{escape(str(refused))}</Message></Error>"
    return _said(start_response, status, "text/xml", f"<ErrorResponse>{answer}</ErrorResponse>")


def _by_target(operations: Mapping[tuple[str, str], Any]) -> dict[str, Any]:
    return {
        f"{_BOTOCORE.get_service_model(service).metadata['targetPrefix']}.{name}": operation
        for (service, name), operation in operations.items()
    }
