"""Topics: news from one to many. Plain subscribers hear it at most once, durable groups until they have handled it."""

from runtime.topics.group import GroupSettings, Published
from runtime.topics.journal import Journal
from runtime.topics.topics import Topics

__all__ = ["GroupSettings", "Journal", "Published", "Topics"]
