"""The load balancer's settings row."""

from django.core.exceptions import ValidationError

from optimizer.balancer.engine.addresses import AllowList, BadAddress
from optimizer.balancer.engine.settings import DEFAULT_NETWORKS
from optimizer.control.fields import BooleanSetting, IntegerSetting, TextSetting
from optimizer.control.models import SettingsModel


class BalancerSettings(SettingsModel):
    """What holds for all groups."""

    component = "balancer"

    ejects = BooleanSetting(
        default=True,
        help_text="Off puts every ejected backend back and ejects none: the kill switch.",
    )
    forwards = BooleanSetting(
        default=True, help_text="Off answers 503 to every call that is to be forwarded."
    )
    allowed_addresses = TextSetting(
        max_length=1000,
        default=DEFAULT_NETWORKS,
        blank=True,
        help_text="Networks and host names where backends may be, separated by commas; *.internal "
        "is every name that ends so. A name that is not listed must lead into the networks, when "
        "it is saved and when it is called.",
    )
    max_body_bytes = IntegerSetting(
        default=8 * 1024**2,
        minimum=1024,
        maximum=64 * 1024**2,
        unit="bytes",
        help_text="How large the body of a call that is forwarded may be. It is held in memory, so "
        "that it can be sent again.",
    )

    class Meta:
        verbose_name = verbose_name_plural = "load balancer settings"

    def clean(self) -> None:
        try:
            AllowList(self.allowed_addresses)
        except BadAddress as error:
            raise ValidationError({"allowed_addresses": f"{error}."}) from error
