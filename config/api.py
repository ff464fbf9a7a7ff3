"""The internal API: every component's router under /internal/v1/<component>/."""

from ninja import NinjaAPI

api = NinjaAPI(title="Tuneup internal API", version="1", urls_namespace="internal-v1")
