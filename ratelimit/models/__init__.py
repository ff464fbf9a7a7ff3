"""What an admin edits: the switch, the tiers, the scopes, and who belongs to which."""

from ratelimit.models.component import RatelimitSettings
from ratelimit.models.scopes import MAX_SCOPE_LENGTH, SCOPE_HINT, Scope, ScopeRule, is_scope_name
from ratelimit.models.subjects import Access, Assignment, Subject, SubjectPattern
from ratelimit.models.tiers import Tier

__all__ = [
    "MAX_SCOPE_LENGTH",
    "SCOPE_HINT",
    "Access",
    "Assignment",
    "RatelimitSettings",
    "Scope",
    "ScopeRule",
    "Subject",
    "SubjectPattern",
    "Tier",
    "is_scope_name",
]
