import msgspec

from optimizer.control.live import LiveSettings
from tests.sample.models import SampleSettings, Shelf


class Sample(msgspec.Struct, frozen=True):
    workers: int = 2
    sizes: dict[str, int] = {}


def load() -> Sample:
    return Sample(
        workers=SampleSettings.load().workers,
        sizes=dict(Shelf.objects.values_list("name", "size")),
    )


sample: LiveSettings[Sample] = LiveSettings("sample", load=load, default=Sample())
