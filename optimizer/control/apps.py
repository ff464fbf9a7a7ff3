from django.apps import AppConfig
from django.conf import settings
from django.db import connection
from django.utils.module_loading import import_string


class ControlConfig(AppConfig):
    name = "optimizer.control"
    label = "control"
    verbose_name = "Control"

    def ready(self) -> None:
        from optimizer.control import checks, registry, rows, task_origin, watcher  # noqa: F401
        from optimizer.control.snapshot import control

        _import_what_threads_need()
        rows.connect_signals()
        registry.register(
            registry.Component(
                name="control",
                title="Control",
                description="Live settings, revisions and API keys.",
                live=control,
                status=watcher.status,
                router="optimizer.control.api.router",
                icon="settings",
                platform=True,
            )
        )


def _import_what_threads_need() -> None:
    """Import what is otherwise imported with the first call, by whichever thread makes it.

    A process that forks while another thread imports leaves its child waiting for ever: the
    module's lock is held by a thread that the child does not have.
    """
    for name in (settings.REDIS_POOL_CLASS, settings.REDIS_SENTINEL_POOL_CLASS):
        import_string(name)
    connection.ops.compiler("SQLCompiler")
    "localhost".encode("idna")  # as sockets do with every host name
