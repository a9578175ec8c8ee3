"""Topics: news from one to many. Plain subscribers hear it at most once, durable groups until they have handled it."""

from runtime.topics.group import GroupSettings, Published
from runtime.topics.journal import Journal
from runtime.topics.journal_file import DeadEvent, GroupName
from runtime.topics.topics import GroupStatistics, Topics, TopicsStatistics

__all__ = [
    "DeadEvent",
    "GroupName",
    "GroupSettings",
    "GroupStatistics",
    "Journal",
    "Published",
    "Topics",
    "TopicsStatistics",
]
