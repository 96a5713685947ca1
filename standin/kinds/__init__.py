"""The kinds of resource that the templates deploy; see `kind`."""

from collections.abc import Mapping

from standin.kinds.data import DATA
from standin.kinds.delivery import DELIVERY
from standin.kinds.events import EVENTS
from standin.kinds.kind import Kind
from standin.kinds.network import NETWORK
from standin.kinds.sagemaker import SAGEMAKER
from standin.kinds.security import SECURITY
from standin.kinds.serving import SERVING

KINDS: Mapping[str, Kind] = {**DATA, **DELIVERY, **EVENTS, **NETWORK, **SAGEMAKER, **SECURITY, **SERVING}
