"""All that an admin sets of the limiter travels in one document."""

from datetime import UTC, datetime

import pytest
import yaml

from optimizer.control.documents import apply_document, export_document
from ratelimit.models import RatelimitSettings, Scope, ScopeRule, Subject, SubjectPattern, Tier

pytestmark = pytest.mark.django_db


def test_an_installation_is_taken_elsewhere_whole():
    free, paid = Tier.objects.create(name="free"), Tier.objects.create(name="paid", quota=5)
    scope = Scope.objects.create(name="command:*", tier=free)
    ScopeRule.objects.create(scope=scope, subject_tier=paid, tier=free)
    until = datetime(2030, 1, 1, tzinfo=UTC)
    Subject.objects.create(identifier="user:1", tier=paid, expires_at=until)
    SubjectPattern.objects.create(pattern="spam:*", access="deny", priority=3)
    RatelimitSettings(default_tier=paid).save()
    document = yaml.safe_load(yaml.safe_dump(export_document(["ratelimit"])))
    RatelimitSettings(default_tier=None).save()
    for model in (ScopeRule, Scope, Subject, SubjectPattern, Tier):
        model.objects.all().delete()
    apply_document(document)
    assert export_document(["ratelimit"]) == document
    assert apply_document(document) == []
    assert Subject.objects.get().expires_at == until
    assert ScopeRule.objects.get().name == "command:*/paid"
