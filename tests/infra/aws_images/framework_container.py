"""In place of `sagemaker_xgboost_container.serving:main` and of scikit-learn's, which are in no package index.

Both make a server of the functions of the user's module that server.start has installed. What else they hold is never
reached by an archive that has a `transform_fn`: default handlers, multi-model endpoints, XGBoost's algorithm mode.
"""

import functools
import importlib
from collections.abc import Callable, Iterable
from typing import Any

from sagemaker_containers.beta.framework import env, transformer, worker


@functools.cache
def _application() -> Any:
    user = importlib.import_module(env.ServingEnv().module_name)
    functions = transformer.Transformer(model_fn=user.model_fn, transform_fn=user.transform_fn)
    functions.initialize()
    return worker.Worker(transform_fn=functions.transform, module_name=user.__name__)


def main(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a request; the first one, the health check, loads the model."""
    answer: Iterable[bytes] = _application()(environ, start_response)
    return answer
