"""One mail to one address, with the environment in its subject."""

from django.conf import settings
from django.core.mail import send_mail


def send(address: str, title: str, text: str, html: str | None = None) -> str:
    """Send a mail; return what went wrong, "" where nothing did. Raises what the server raises."""
    if not settings.EMAIL_URL:
        return "EMAIL_URL is not set, so no mail can be sent"
    subject = f"[{settings.ENVIRONMENT_NAME or 'Tuneup'}] {title}"
    sent = send_mail(subject, text, None, [address], html_message=html)
    return "" if sent else "the mail server took no mail"
