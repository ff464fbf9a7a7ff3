from django.apps import AppConfig


class OperationsConfig(AppConfig):
    name = "optimizer.operations"
    label = "operations"
    verbose_name = "Operations"
