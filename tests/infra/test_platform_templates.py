"""The platform's templates climb the proof; a data scientist in Studio can train, but neither approve nor deploy."""

import copy
import json
import re
from typing import Any

import pytest
from botocore import xform_name

from standin import deploy
from standin.account import StandInAccount
from standin.calls import Call
from standin.deploy import Stack
from standin.finding import Finding
from standin.iam import RolePolicies, role_policies
from standin.needs import Need, needs
from standin.policies import findings
from standin.service_side import service_needs
from standin.template import Template, load, resolve
from tests.answers import QUESTIONS
from tests.infra.checks import createonly, names, rungs, validators, whole_numbers
from tests.infra.checks.mutants import REMOVED, changed
from tests.projects import ROOT, SOURCES

FOLDER = ROOT / "templates" / "cloudformation"
ORDER = ("network", "vpc-endpoints", "studio")
TEMPLATES = {name: load(FOLDER / f"{name}.yaml") for name in ORDER}

PROJECT, ID, ACCOUNT, REGION = "visits", "p-0123456789ab", "123456789012", "eu-west-1"
OWN = f"sagemaker-{PROJECT}-{ID}"
DATA, MODELS = f"{OWN}-data", f"{OWN}-model"
TRAINING = f"{PROJECT}-training"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/{OWN}-studio"
TRAINER = f"arn:aws:iam::{ACCOUNT}:role/{OWN}-pipe"
CONNECTION = f"arn:aws:codeconnections:{REGION}:{ACCOUNT}:connection/01234567-0123-4567-89ab-0123456789ab"
PACKAGES = f"arn:aws:codeartifact:{REGION}:{ACCOUNT}:repository/packages/python"
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/teams/data"
DOMAIN, USER = "d-0123456789ab", "ada"


def sagemaker(resource: str) -> str:
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{resource}"


SESSION = {
    "sagemaker:DomainId": DOMAIN,
    "sagemaker:UserProfileName": USER,
    "sagemaker:OwnerUserProfileArn": sagemaker(f"user-profile/{DOMAIN}/{USER}"),
    "sagemaker:SpaceSharingType": "Private",
    "sagemaker:TaggingAction": "CreateSpace",
}
"""What SageMaker says of a request from Studio."""

PROJECT_PARAMETERS = {"ProjectName": PROJECT, "ProjectId": ID}
NETWORK = {
    "VpcId": "vpc-0123456789abcdef0",
    "SubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
    "RouteTableId": "rtb-0123456789abcdef0",
    "StudioSecurityGroupId": "sg-0123456789abcdef0",
    "EndpointSecurityGroupId": "sg-0123456789abcdef1",
}
WORK = {"UserProfileName": USER, "RepositoryUrl": "https://example.com/team/visits.git"}
VARIANTS = {
    "network": ({}, {"Egress": "on", "PermissionsBoundaryArn": BOUNDARY}),
    "vpc-endpoints": ({}, {"Git": "codecommit", "Packages": "on"}, {"Git": "none"}),
    "studio": (
        WORK,
        {**WORK, "AppType": "CodeEditor", "SourceArn": CONNECTION, "PackageRepositoryArn": PACKAGES},
        {**WORK, "SourceArn": f"arn:aws:codecommit:{REGION}:{ACCOUNT}:{PROJECT}", "PermissionsBoundaryArn": BOUNDARY},
    ),
}
each_template = pytest.mark.parametrize("name", ORDER)
each_variant = pytest.mark.parametrize(
    ("name", "variant"), [(name, number) for name in ORDER for number in range(len(VARIANTS[name]))]
)


def stack(
    name: str, variant: int = 0, network: dict[str, str] | None = None, template: Template | None = None
) -> Stack:
    """A stack of a template with the parameters of a variant, in a network."""
    template = template or TEMPLATES[name]
    given = {**PROJECT_PARAMETERS, **(network or NETWORK), **VARIANTS[name][variant]}
    taken = {parameter: value for parameter, value in given.items() if parameter in template.data["Parameters"]}
    return Stack(f"{PROJECT}-{name}", template, taken)


def resolved(name: str, variant: int = 0, **more: str) -> Template:
    return resolve(TEMPLATES[name], {**stack(name, variant).parameters, **more})


@each_template
def test_the_validators_say_nothing(name: str) -> None:
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    assert [*validators.invalid(text), *validators.unlinted(text, [REGION])] == []


@each_variant
def test_the_static_rungs_say_nothing_at_the_longest_names(name: str, variant: int) -> None:
    assert rungs.findings(resolved(name, variant, **names.LONGEST)) == []


@each_template
def test_a_number_that_is_put_into_a_text_or_read_by_code_has_no_fraction(name: str) -> None:
    assert whole_numbers.findings(TEMPLATES[name]) == []


@each_template
def test_each_parameter_says_what_it_is_and_what_it_takes(name: str) -> None:
    for parameter in TEMPLATES[name].data["Parameters"].values():
        assert parameter["Description"].endswith(".")
        assert {"AllowedPattern", "AllowedValues", "MinValue"} & parameter.keys() or parameter["Type"] != "String"


@pytest.mark.slow
def test_checkov_finds_little_and_what_is_skipped_says_why() -> None:
    posture = validators.posture(FOLDER)
    assert posture.unjustified == []
    assert posture.per_hundred <= 5, posture.failures


@each_template
def test_roles_trust_one_service(name: str) -> None:
    for _, role in TEMPLATES[name].properties("AWS::IAM::Role"):
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert isinstance(statement["Principal"]["Service"], str)


def network_in(account: StandInAccount, variant: int = 0) -> dict[str, str]:
    """The outputs of a network that stands."""
    network = stack("network", variant)
    deploy.put(account, network)
    return deploy.outputs(account, network.name)


@pytest.mark.parametrize("variant", range(len(VARIANTS["network"])))
def test_a_network_is_made_and_leaves_its_flow_log_and_its_key(account: StandInAccount, variant: int) -> None:
    assert deploy.findings(account, [stack("network", variant)]) == []


@pytest.mark.parametrize(
    ("given", "zones"), [({}, "ab"), ({"FirstZone": "eu-west-1b", "SecondZone": "eu-west-1c"}, "bc")]
)
def test_subnets_are_in_the_first_two_zones_unless_others_are_given(given: dict[str, str], zones: str) -> None:
    network = resolve(TEMPLATES["network"], {**PROJECT_PARAMETERS, **given, "AWS::Region": REGION})
    subnets = dict(network.properties("AWS::EC2::Subnet"))
    assert [subnets[f"{place}Subnet"]["AvailabilityZone"] for place in ("First", "Second")] == [
        f"{REGION}{z}" for z in zones
    ]


@pytest.mark.parametrize("variant", range(2))
def test_endpoints_and_studio_are_made_in_it_and_leave_nothing(account: StandInAccount, variant: int) -> None:
    network = network_in(account, variant)
    assert deploy.findings(account, [stack(name, variant, network) for name in ORDER[1:]]) == []
    deploy.delete(account, f"{PROJECT}-network")


def test_changed_settings_of_studio_replace_nothing() -> None:
    before = resolved("studio")
    after = resolved("studio", IdleMinutes="120", InstanceType="ml.m5.large", SourceArn=CONNECTION)
    assert createonly.replaced(before, after) == {}


def test_a_network_gets_and_loses_its_way_to_the_internet(account: StandInAccount) -> None:
    updates = [stack("network", variant) for variant in (1, 0)]
    assert deploy.findings(account, [stack("network")], updates) == []


def test_nothing_leads_to_the_internet_unless_it_is_asked_for() -> None:
    assert list(resolved("network").properties("AWS::EC2::Route", "AWS::EC2::NatGateway")) == []
    assert len(list(resolved("network", 1).properties("AWS::EC2::Route", "AWS::EC2::NatGateway"))) == 3
    assert [
        domain["AppNetworkAccessType"] for _, domain in resolved("studio").properties("AWS::SageMaker::Domain")
    ] == ["VpcOnly"]


NEEDED = {  # studio-updated-and-internet-access, and what the project's commands call
    *("ecr.api", "ecr.dkr", "kms", "logs", "monitoring", "s3", "sagemaker.api", "sagemaker.runtime"),
    *("servicecatalog", "ssm", "sts"),
}
CODE = {"codecommit", "git-codecommit", "codeartifact.api", "codeartifact.repositories"}


@pytest.mark.parametrize(("variant", "more"), [(0, {"codeconnections.api"}), (1, CODE), (2, set[str]())])
def test_there_is_a_private_way_to_each_service(variant: int, more: set[str]) -> None:
    endpoints = [endpoint for _, endpoint in resolved("vpc-endpoints", variant).properties("AWS::EC2::VPCEndpoint")]
    services = {"com.amazonaws.us-east-1." + service for service in NEEDED | more} | {"aws.sagemaker.us-east-1.studio"}
    assert {endpoint["ServiceName"] for endpoint in endpoints} == services
    assert all(endpoint.get("PrivateDnsEnabled") for endpoint in endpoints if endpoint["VpcEndpointType"] != "Gateway")


def test_the_endpoints_own_nothing_that_network_interfaces_hold_on_to() -> None:
    assert {resource["Type"] for resource in TEMPLATES["vpc-endpoints"].resources.values()} == {"AWS::EC2::VPCEndpoint"}


def test_each_endpoint_serves_this_account_alone() -> None:
    for _, endpoint in TEMPLATES["vpc-endpoints"].properties("AWS::EC2::VPCEndpoint"):
        for statement in endpoint["PolicyDocument"]["Statement"]:
            condition = statement["Condition"]["StringEquals"]
            assert condition.get("aws:PrincipalAccount") == {"Ref": "AWS::AccountId"} or (
                statement["Action"] == "s3:GetObject" and condition == {"aws:SourceVpc": {"Ref": "VpcId"}}
            )


def test_every_application_shuts_down_when_it_is_idle() -> None:
    ((_, domain),) = resolved("studio", IdleMinutes="90").properties("AWS::SageMaker::Domain")
    settings = domain["DefaultUserSettings"]
    for application in ("JupyterLabAppSettings", "CodeEditorAppSettings"):
        idle = settings[application]["AppLifecycleManagement"]["IdleSettings"]
        assert (idle["LifecycleManagement"], idle["IdleTimeoutInMinutes"]) == ("ENABLED", "90")
        assert idle["MaxIdleTimeoutInMinutes"] == "90"


def call(service: str, operation: str, *passed: str, **parameters: Any) -> Call:
    return Call(ROLE, service, operation, parameters, REGION, passed)


PIPELINE = sagemaker(f"pipeline/{TRAINING}")
CALLS = [  # of `upsert`, `run`, `models` and `runs` with an environment of AWS
    call("s3", "HeadBucket", Bucket=DATA),
    *(
        call("s3", "PutObject", Bucket=DATA, Key=f"{PROJECT}/{folder}/one")
        for folder in ("code", "definitions", "manifests", "no-champion")
    ),
    call("s3", "HeadObject", Bucket=DATA, Key=f"{PROJECT}/code/one"),
    call("s3", "ListObjectVersions", Bucket=DATA, Prefix=f"{PROJECT}/data"),
    call("s3", "GetObject", Bucket=MODELS, Key=f"{PROJECT}/runs/one/model.tar.gz"),
    call("sagemaker", "DescribePipeline", PipelineName=TRAINING),
    call("sagemaker", "CreatePipeline", TRAINER, PipelineName=TRAINING, RoleArn=TRAINER),
    call("sagemaker", "UpdatePipeline", TRAINER, PipelineName=TRAINING, RoleArn=TRAINER),
    call("sagemaker", "ListTags", ResourceArn=PIPELINE),
    call("sagemaker", "AddTags", ResourceArn=PIPELINE),
    call("sagemaker", "StartPipelineExecution", PipelineName=TRAINING),
    call("sagemaker", "DescribeModelPackageGroup", ModelPackageGroupName=PROJECT),
    call("sagemaker", "ListModelPackages", ModelPackageGroupName=PROJECT),
    call("sagemaker", "DescribeModelPackage", ModelPackageName=sagemaker(f"model-package/{PROJECT}/1")),
    *(
        call("sagemaker", operation, PipelineExecutionArn=f"{PIPELINE}/execution/one")
        for operation in (
            "DescribePipelineExecution",
            "ListPipelineExecutionSteps",
            "ListPipelineParametersForExecution",
        )
    ),
    call("sagemaker", "ListPipelineExecutions", PipelineName=TRAINING),
    call("ssm", "GetParameterHistory", Name=f"/{PROJECT}/live/production"),
    call("ssm", "GetParameters", Names=[f"/{PROJECT}/live/production", f"/{PROJECT}/image"]),
]


@pytest.mark.parametrize("operation", sorted({call.operation for call in CALLS}))
def test_the_calls_of_a_data_scientist_are_those_that_the_machinery_makes(operation: str) -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (SOURCES / "mlops").rglob("*.py"))
    assert re.search(rf"\b{xform_name(operation)}\b", sources)


def need(action: str, resource: str, **context: Any) -> Need:
    return Need(action, resource, "a data scientist", {**SESSION, "aws:PrincipalAccount": ACCOUNT, **context})


@pytest.fixture
def needed(account: StandInAccount) -> tuple[RolePolicies, list[Need]]:
    """What the deployed role of a data scientist allows, and what it needs."""
    studio = stack("studio", 1, network_in(account))
    deploy.put(account, studio)
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{deploy.physical_ids(account, studio.name)['Key']}"
    names_of = {
        "account": ACCOUNT, "region": REGION, "domain": DOMAIN, "user": USER, "pipeline": TRAINING,
        "packages": "packages", "key": key, "connection": CONNECTION,
    }  # fmt: skip
    features = ("studio", "studio pipelines", "studio volume", "package repository", "codepipeline connection")
    granted = {"kms:GrantIsForAWSResource": True}
    project_key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/00000000-0000-4000-8000-000000000000"
    by_s3 = {"kms:ViaService": f"s3.{REGION}.amazonaws.com", "kms:ResourceAliases": [f"alias/{PROJECT}-data"]}
    return (
        role_policies(account.client("iam"), ROLE),
        [
            *needs(CALLS),
            *(need(n.action, n.resource, **granted) for f in features for n in service_needs(f, **names_of)),
            *(need(f"kms:{action}", project_key, **by_s3) for action in ("Decrypt", "GenerateDataKey")),
            need("kms:DescribeKey", project_key, **{"kms:ResourceAliases": by_s3["kms:ResourceAliases"]}),
            need("sts:GetServiceBearerToken", "*", **{"sts:AWSServiceName": "codeartifact.amazonaws.com"}),
        ],
    )


def judged(allowed: RolePolicies, wanted: list[Need]) -> list[Finding]:
    return findings("studio", allowed, wanted, (PROJECT, ID, ACCOUNT))


def test_a_data_scientist_may_do_what_the_work_needs_and_nothing_more(needed: tuple[RolePolicies, list[Need]]) -> None:
    assert judged(*needed) == []


VERSION = sagemaker(f"model-package/{PROJECT}/1")
DEPLOYMENT = f"arn:aws:codepipeline:{REGION}:{ACCOUNT}:{PROJECT}-deploy"
FORBIDDEN = [
    need("sagemaker:UpdateModelPackage", VERSION, **{"sagemaker:ModelApprovalStatus": "Approved"}),
    need("sagemaker:CreateModelPackage", VERSION),
    need("sagemaker:DeleteModelPackage", VERSION),
    *(
        need(action, resource)
        for environment in ("staging", "production")
        for action, resource in (
            ("sagemaker:UpdateEndpoint", sagemaker(f"endpoint/{PROJECT}-{environment}")),
            ("sagemaker:InvokeEndpoint", sagemaker(f"endpoint/{PROJECT}-{environment}")),
            ("ssm:PutParameter", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/{PROJECT}/live/{environment}"),
            *(
                (
                    f"cloudformation:{change}Stack",
                    f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{PROJECT}-{environment}-endpoint/1",
                )
                for change in ("Create", "Delete", "Update")
            ),
        )
    ),
    need("codepipeline:StartPipelineExecution", DEPLOYMENT),
    need("codepipeline:PutApprovalResult", f"{DEPLOYMENT}/Production/Approve"),
    *(
        need("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/{OWN}-{role}", **{"iam:PassedToService": service})
        for role, service in (
            ("deploy", "cloudformation.amazonaws.com"),
            ("host", "sagemaker.amazonaws.com"),
            ("pipe", "lambda.amazonaws.com"),
        )
    ),
    need("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/{OWN}-ship"),
    need("s3:PutObject", f"arn:aws:s3:::{DATA}/{PROJECT}/functions/one.zip"),
    need("s3:PutObject", f"arn:aws:s3:::{MODELS}/{PROJECT}/runs/one/model.tar.gz"),
    need("s3:PutObject", f"arn:aws:s3:::{OWN}-cicd/release/project.zip"),
    need("s3:DeleteObjectVersion", f"arn:aws:s3:::{DATA}/{PROJECT}/code/one"),
]  # fmt: skip
COLLEAGUE = {"sagemaker:OwnerUserProfileArn": sagemaker(f"user-profile/{DOMAIN}/grace")}
FOREIGN = [
    need("sagemaker:DeleteSpace", sagemaker(f"space/{DOMAIN}/grace"), **COLLEAGUE),
    need("sagemaker:CreateApp", sagemaker(f"app/{DOMAIN}/grace/JupyterLab/default"), **COLLEAGUE),
    need("sagemaker:CreatePresignedDomainUrl", sagemaker(f"user-profile/{DOMAIN}/grace")),
    need("sagemaker:DescribeSpace", sagemaker("space/d-another/grace")),
    need("sagemaker:CreateSpace", sagemaker(f"space/{DOMAIN}/open"), **{"sagemaker:SpaceSharingType": "Shared"}),
    need("kms:CreateGrant", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/another", **{"kms:GrantIsForAWSResource": True}),
    need(
        "kms:Decrypt",
        f"arn:aws:kms:{REGION}:{ACCOUNT}:key/another",
        **{"kms:ViaService": f"s3.{REGION}.amazonaws.com", "kms:ResourceAliases": ["alias/another-data"]},
    ),
]


def trespasses(allowed: RolePolicies) -> set[str]:
    """What is allowed, though it approves, deploys, or is another's."""
    return {
        f"{each.action} {each.resource}"
        for each in (*FORBIDDEN, *FOREIGN)
        if allowed.allow(each.action, each.resource, each.context)
    }


def test_a_data_scientist_neither_approves_nor_deploys_nor_reaches_what_is_another_s(
    needed: tuple[RolePolicies, list[Need]],
) -> None:
    assert trespasses(needed[0]) == set()


def test_each_permission_that_is_removed_is_missed(needed: tuple[RolePolicies, list[Need]]) -> None:
    allowed, wanted = needed
    for document in range(len(allowed.allowed)):
        for statement in range(len(allowed.allowed[document]["Statement"])):
            documents: Any = copy.deepcopy(list(allowed.allowed))
            removed = documents[document]["Statement"].pop(statement)
            assert judged(RolePolicies(documents), wanted), removed


def test_each_forbidden_thing_that_is_allowed_is_found(needed: tuple[RolePolicies, list[Need]]) -> None:
    for each in FORBIDDEN:
        extra = {"Effect": "Allow", "Action": each.action, "Resource": each.resource}
        widened = RolePolicies([*needed[0].allowed, {"Version": "2012-10-17", "Statement": [extra]}])
        assert trespasses(widened)
        assert judged(widened, needed[1])


FAULTS: list[tuple[str, dict[str, Any], str]] = [
    ("network", {"FlowLogGroup/Properties/KmsKeyId": REMOVED}, "encrypted with a key of ours"),
    ("network", {"FlowLogRole/Properties/RoleName": {"Fn::Sub": "${ProjectName}-" + "x" * 40}}, "64 are allowed"),
    ("network", {"Vpc/Properties/Tags": []}, "has no tag"),
    ("vpc-endpoints", {"Kms/Properties/ServiceName": "kms"}, "does not match"),
    ("vpc-endpoints", {"S3/Properties/PolicyDocument/Statement/0/Condition": {}}, "everybody is let in"),
    ("vpc-endpoints", {"Sts/Properties/Subnets": []}, "Subnets"),
    ("studio", {"Domain/Properties/AppNetworkAccessType": "VPCOnly"}, "VPCOnly"),
    ("studio", {"Key/Properties/EnableKeyRotation": False}, "renewed every year"),
    ("studio", {"DataScientist/Properties/Policies/1/PolicyDocument/Statement/0/Action": "sagemaker:*"}, "by name"),
    ("studio", {"Space/Properties/SpaceName": "ada_private"}, "does not match"),
]


@pytest.mark.parametrize(("name", "changes", "said"), FAULTS)
def test_a_seeded_fault_is_found(name: str, changes: dict[str, Any], said: str) -> None:
    template = changed(changes, TEMPLATES[name])
    faulty = resolve(template, {**stack(name).parameters, **names.LONGEST})
    found = [
        *validators.invalid(json.dumps(template.data, indent=1)),
        *rungs.findings(faulty),
    ]
    assert any(said in str(finding) for finding in found), found


def test_a_flow_log_that_outlives_its_key_is_found(account: StandInAccount) -> None:
    template = changed({"FlowLogKey/DeletionPolicy": "Delete"}, TEMPLATES["network"])
    (finding,) = deploy.findings(account, [stack("network", template=template)])
    assert "FlowLogKey, is not" in finding.what


def test_the_manual_names_parameters_that_exist_and_counts_the_endpoints() -> None:
    manual = (FOLDER.parents[1] / "docs/platform-engineer/network.md").read_text(encoding="utf-8")
    for name in ORDER:
        (command,) = re.findall(rf"^stack {name}\b.*$", manual, re.MULTILINE)
        assert set(re.findall(r" (\w+)=", command)) <= TEMPLATES[name].data["Parameters"].keys()
        required = {key for key, said in TEMPLATES[name].data["Parameters"].items() if "Default" not in said}
        handed = {"ProjectName", "ProjectId"} | (
            TEMPLATES["network"].data["Outputs"].keys() if name != "network" else set()
        )
        assert required <= handed | set(re.findall(r" (\w+)=", command))
    endpoints = [each["VpcEndpointType"] for _, each in resolved("vpc-endpoints").properties("AWS::EC2::VPCEndpoint")]
    assert f"{endpoints.count('Interface')} interface endpoints in 2 zones" in manual


@pytest.mark.slow
def test_studio_lacks_in_the_regions_that_the_manual_names() -> None:
    regions = QUESTIONS["_rules"]["aws_region"]["one_of"]
    found = [
        finding
        for name in ORDER
        for finding in validators.unlinted((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), regions)
    ]
    lacking = {match[1] for finding in found if (match := re.search(r"does not exist in '(.+?)'", finding.what))}
    assert len(found) == sum("does not exist in" in finding.what for finding in found)
    manual = (FOLDER.parents[1] / "docs/platform-engineer/network.md").read_text(encoding="utf-8")
    assert f"CloudFormation does not support Studio in {', '.join(sorted(lacking)[:-1])} and {max(lacking)}." in manual
