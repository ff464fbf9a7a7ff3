from django.apps import AppConfig


class ControlConfig(AppConfig):
    name = "optimizer.control"
    label = "control"
    verbose_name = "Control"
