"""The internal API: every component's router under /internal/v1/<component>/."""

from django.contrib.admin.views.decorators import staff_member_required
from django.utils.module_loading import import_string

from optimizer.control.api_base import InternalAPI, KeyAuth
from optimizer.control.registry import components

api = InternalAPI(
    title="Tuneup internal API",
    version="1",
    urls_namespace="internal-v1",
    docs_decorator=staff_member_required,
)
for component in components():
    if component.router:
        router = import_string(component.router)
        api.add_router(
            f"/{component.name}", router, auth=KeyAuth(component.name), tags=[component.title]
        )
