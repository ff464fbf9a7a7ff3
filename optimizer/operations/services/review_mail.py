"""A review as a mail: HTML, and Markdown for who reads plain text."""

import msgspec

from optimizer.operations.models import PerformanceReview
from optimizer.operations.services import mail, review_content, review_words


def send(row: PerformanceReview, address: str) -> str:
    """Mail a review; return what went wrong, "" where nothing did."""
    try:
        review = review_content.read(row.content)
    except msgspec.ValidationError as error:
        return f"it is of another version: {error}"
    title = f"Performance review: {review_words.headline(review)}"
    return mail.send(address, title, review_words.as_markdown(review), review_words.as_html(review))
