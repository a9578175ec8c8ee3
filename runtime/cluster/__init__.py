"""The cluster: several nodes that are one system. Which node carries what, and the way from any to any other."""

from runtime.cluster.cluster import Cluster
from runtime.cluster.errors import NodeAway, NotSendable
from runtime.cluster.redis_store import RedisStore
from runtime.cluster.redis_transport import RedisTransport
from runtime.cluster.settings import ClusterSettings
from runtime.cluster.statistics import ClusterStatistics
from runtime.cluster.store import Member, SharedStore
from runtime.cluster.transport import Transport
from runtime.cluster.view import View

__all__ = [
    "Cluster",
    "ClusterSettings",
    "ClusterStatistics",
    "Member",
    "NodeAway",
    "NotSendable",
    "RedisStore",
    "RedisTransport",
    "SharedStore",
    "Transport",
    "View",
]
