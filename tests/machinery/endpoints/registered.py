"""Small versions in the registry of a project on this machine, and the endpoint that serves them."""

import socket
from pathlib import Path

from mlops.base.archives import pack
from mlops.base.environments import LOCAL
from mlops.endpoints.local import LocalEndpoint
from mlops.project.project import Project
from mlops.project.target import Target
from mlops.registry.local import LocalRegistry
from mlops.registry.versions import APPROVED
from mlops.store.local import LocalStore
from tests.machinery.serving.served import HANDLERS


def register(folder: Path, factor: str) -> None:
    target = Target(Project(folder), LOCAL)
    store = LocalStore.of(target)
    uri = f"s3://local-bucket/models/{factor}/model.tar.gz"
    model = folder / "unpacked" / factor
    (model / "code").mkdir(parents=True)
    (model / "code/inference.py").write_text(HANDLERS)
    (model / "factor").write_text(factor)
    store.path(uri).parent.mkdir(parents=True)
    pack(model, store.path(uri))
    arguments = {
        "ModelPackageGroupName": "doctor-visits",
        "ModelApprovalStatus": APPROVED,
        "InferenceSpecification": {"Containers": [{"ModelDataUrl": uri}]},
    }
    registry = LocalRegistry.of(target)
    registry.register(arguments, "arn:aws:sagemaker:eu-west-1:000000000000:model-package/doctor-visits", factor)


def endpoint(folder: Path) -> LocalEndpoint:
    target = Target(Project(folder), LOCAL)
    return LocalEndpoint(target, LocalRegistry.of(target))


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])
