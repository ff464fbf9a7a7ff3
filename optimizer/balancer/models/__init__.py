"""What an admin edits: what holds for all groups, the groups, and their backends."""

from optimizer.balancer.models.backends import Backend
from optimizer.balancer.models.choices import CheckKind, GroupKind, StrategyName
from optimizer.balancer.models.component import BalancerSettings
from optimizer.balancer.models.groups import Group

__all__ = ["Backend", "BalancerSettings", "CheckKind", "Group", "GroupKind", "StrategyName"]
