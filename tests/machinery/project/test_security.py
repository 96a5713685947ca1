from pathlib import Path
from typing import Any

import pytest
from botocore.session import get_session

from mlops.base.errors import MlopsError
from mlops.pipeline import submission
from mlops.project.environment import Environment
from mlops.project.instances import has_own_disks
from mlops.project.keys import arn, arns, unnamed
from mlops.project.project import Project
from mlops.project.security import Network, Security, require_encryptable_disks
from mlops.project.target import Target
from standin.account import ACCOUNT, REGION, StandInAccount
from tests.places import DATA_KEY, MODEL_KEY

PATH = Path("config/dev.yaml")
SUBNET, GROUP = "subnet-0123456789abcdef0", "sg-0123456789abcdef0"
SWITCHES = {"network_isolation": True, "encrypt_inter_container_traffic": False}


def environment(**settings: Any) -> Environment:
    return Environment("dev", settings, PATH, REGION)


def target(project: Project, settings: Environment) -> Target:
    made = Target(project, settings.name)
    made.__dict__["settings"] = settings
    return made


def refusal(**section: Any) -> str:
    with pytest.raises(MlopsError) as caught:
        Security.of(environment(security={**SWITCHES, **section}))
    assert caught.value.exit_code == 2
    return f"{caught.value.message} {caught.value.remedy}"


def test_a_network_is_what_both_lists_say() -> None:
    security = Security.of(environment(security={**SWITCHES, "subnet_ids": [SUBNET], "security_group_ids": [GROUP]}))
    assert security.network == Network((SUBNET,), (GROUP,))
    assert security.parameters() == {"VolumeKeyArn": "", "JobsInVpc": "true"}
    elsewhere = Security.of(environment(security={**SWITCHES, "volume_key": DATA_KEY}))
    assert elsewhere.parameters() == {"VolumeKeyArn": DATA_KEY, "JobsInVpc": "false"}


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"subnet_ids": [SUBNET]}, "`security.subnet_ids` without `security.security_group_ids`"),
        ({"security_group_ids": [GROUP]}, "`security.security_group_ids` without `security.subnet_ids`"),
        ({"subnet_ids": [], "security_group_ids": [GROUP]}, "without `security.subnet_ids`"),
        ({"subnet_ids": SUBNET, "security_group_ids": [GROUP]}, "Use a list of ids: [subnet-0123456789abcdef0]"),
        ({"subnet_ids": ["subnet-1"], "security_group_ids": [GROUP]}, 'an invalid id in `security.s'),
        ({"subnet_ids": [SUBNET], "security_group_ids": [SUBNET]}, 'an invalid id in `security.security_group_ids`'),
        ({"subnet_ids": [SUBNET, SUBNET], "security_group_ids": [GROUP]}, "a duplicate in `security.subnet_ids`"),
        ({"subnet_ids": [SUBNET] * 17, "security_group_ids": [GROUP]}, "17 ids in `security.subnet_ids`"),
        ({"subnet_ids": [SUBNET], "security_group_ids": [GROUP] * 6}, "SageMaker accepts 5."),
        ({"network_isolation": "true"}, '`security.network_isolation: "true"`. Use true or false.'),
        (dict.fromkeys(SWITCHES), "`security.encrypt_inter_container_traffic`. Set each to true"),
        ({"encrypt_inter_container_traffic": None}, "has no value for `security.encrypt_inter_container_traffic`"),
        ({"volume_key": "alias/visits-data"}, "Use the ARN of a KMS key, not its id or an alias"),
        ({"volume_key": DATA_KEY.replace(REGION, "us-east-1")}, f"in the Region of the project: arn:aws:kms:{REGION}:"),
    ],
)  # fmt: skip
def test_what_sagemaker_would_refuse_is_refused_by_the_name_of_its_key(section: dict[str, Any], said: str) -> None:
    assert said in refusal(**section)


@pytest.mark.parametrize(
    ("section", "refused"),
    [
        ({"instance_type": "ml.g5.xlarge"}, True),
        ({"instance_type": "ml.g5.xlarge", "disk_encryption": "key"}, True),
        ({"instance_type": "ml.g5.xlarge", "disk_encryption": "hardware"}, False),
        ({"instance_type": "ml.m5.large"}, False),
        ({}, False),
    ],
)
def test_a_key_for_disks_that_hardware_encrypts_is_refused(section: dict[str, Any], refused: bool) -> None:
    configured = environment(stacks={"transform": section})
    if not refused:
        require_encryptable_disks(configured, "transform")
        return
    with pytest.raises(
        MlopsError, match=r"`stacks.transform.instance_type: ml\.g5\.xlarge`, which has local NVMe disks"
    ):
        require_encryptable_disks(configured, "transform")


# The column "Instance store volumes" of https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-store-volumes.html,
# and of the pages of the families that are newer.
WITH_OWN_DISKS = {
    *("c5d", "c6gd", "dl1", "g4dn", "g5", "g6", "g6e", "g7", "g7e", "m5d", "m6gd", "p3dn", "p4d", "p4de", "p5", "p5e"),
    *("p5en", "p6-b200", "p6-b300", "p6e-gb200", "r5d", "r6gd", "r7gd", "trn1", "trn1n", "trn2"),
}


def test_the_types_that_sagemaker_offers_have_disks_of_their_own_or_not() -> None:
    model = get_session().get_service_model("sagemaker")
    shapes = (
        "ProcessingInstanceType",
        "TrainingInstanceType",
        "TransformInstanceType",
        "ProductionVariantInstanceType",
    )
    offered = {type_ for shape in shapes for type_ in model.shape_for(shape).enum}
    assert {type_.split(".")[1] for type_ in offered if has_own_disks(type_)} == WITH_OWN_DISKS


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/base.yaml").touch()
    (tmp_path / "config/dev.yaml").write_text(f"account: '{ACCOUNT}'\n", encoding="utf-8")
    answers = f"project_slug: visits\naws_region: {REGION}\ntraining_image: aws\n"
    answers += "project_scope: build-train\naccount_layout: single\n"
    (tmp_path / "project.yaml").write_text(answers, encoding="utf-8")
    return Project(tmp_path)


def test_keys_that_the_configuration_names_are_not_looked_up(project: Project) -> None:
    named = target(project, environment(data_key=DATA_KEY, model_key=MODEL_KEY))
    assert unnamed(named) == []
    assert arns(named) == {"data_key": DATA_KEY, "model_key": MODEL_KEY}


def test_this_machine_has_keys_of_its_own_only_where_the_configuration_says_so(project: Project) -> None:
    with pytest.raises(MlopsError, match=r"config/local\.yaml has no value for `data_key`"):
        arns(target(project, Environment("local", {}, Path("config/local.yaml"), REGION)))


def test_the_project_s_own_keys_are_known_once_they_are_looked_up(project: Project, here: StandInAccount) -> None:
    with pytest.raises(MlopsError, match="no value for `data_key`, and the project's has not been looked up") as caught:
        arn(Target(project, "dev"), "data_key")
    assert "upsert --environment dev" in caught.value.remedy
    with pytest.raises(MlopsError, match="There is no key alias/visits-data") as caught:
        submission.look_up(Target(project, "dev"))
    assert "set `data_key`" in caught.value.remedy
    kms = here.client("kms")
    made = {name: kms.create_key()["KeyMetadata"] for name in ("data", "model")}
    for name, metadata in made.items():
        kms.create_alias(AliasName=f"alias/visits-{name}", TargetKeyId=metadata["KeyId"])
    submission.look_up(Target(project, "dev"))
    found = arns(Target(project, "dev"))
    assert found == {f"{name}_key": metadata["Arn"] for name, metadata in made.items()}
