"""What the pages, the API and the commands tell of batches."""

from optimizer.batches.selectors.overview import status
from optimizer.batches.selectors.progress import Progress, progress, progress_of_all

__all__ = ["Progress", "progress", "progress_of_all", "status"]
