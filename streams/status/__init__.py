"""How a shop is doing: who works, how far behind, how much there is, and what was refused."""

from streams.status.look import Look
from streams.status.report import Group, Lag, Member, Snapshot, Status, TopicSize

__all__ = ["Group", "Lag", "Look", "Member", "Snapshot", "Status", "TopicSize"]
