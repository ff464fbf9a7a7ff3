from django.apps import AppConfig


class ControlConfig(AppConfig):
    name = "optimizer.control"
    label = "control"
    verbose_name = "Control"

    def ready(self) -> None:
        from optimizer.control import checks, registry, rows, task_origin, watcher  # noqa: F401
        from optimizer.control.snapshot import control

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
