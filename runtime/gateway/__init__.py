"""The HTTP and WebSocket edge: it turns requests and frames into messages to actors, and answers into responses.

It decides nothing about the domain. One route table gives both what is served and what `/openapi.json` says.
"""

from runtime.gateway.gateway import Gateway
from runtime.gateway.limits import GatewayLimits
from runtime.gateway.listening import Listener, ListenFailed, PortTaken
from runtime.gateway.node_routes import Model, NodeFacts
from runtime.gateway.readiness import Readiness

__all__ = [
    "Gateway",
    "GatewayLimits",
    "ListenFailed",
    "Listener",
    "Model",
    "NodeFacts",
    "PortTaken",
    "Readiness",
]
