"""The one place that makes Redis clients, and says how their failures, restarts and lost scripts are met."""

from runtime.redis.address import Kind, RedisAddress, parse
from runtime.redis.clients import RedisClients, RedisSettings
from runtime.redis.failures import translated
from runtime.redis.health import RedisHealth, health
from runtime.redis.listening import Listener
from runtime.redis.scripts import Script

__all__ = [
    "Kind",
    "Listener",
    "RedisAddress",
    "RedisClients",
    "RedisHealth",
    "RedisSettings",
    "Script",
    "health",
    "parse",
    "translated",
]
