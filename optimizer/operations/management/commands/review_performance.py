"""`manage.py review_performance`: make a performance review now and print it."""

import json
import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from optimizer.operations.models.addresses import addresses_in, invalid_address
from optimizer.operations.services import review_content, review_mail, review_words, reviews

_FORMATS = ("markdown", "html", "json")


class Command(BaseCommand):
    help = "Make a performance review of the time up to now, keep it, and print it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--format", choices=_FORMATS, default="markdown")
        parser.add_argument("--mail", default="", metavar="ADDRESSES", help="and send it there")

    def handle(self, *args: Any, **options: Any) -> None:
        if wrong := invalid_address(options["mail"]):
            raise CommandError(f"--mail: {wrong!r} is no e-mail address.")
        row = reviews.make(os.environ.get("USER", "") or "command")
        review = review_content.read(row.content)
        if options["format"] == "json":
            self.stdout.write(json.dumps(review_content.plain(review), indent=1))
        elif options["format"] == "html":
            self.stdout.write(review_words.as_html(review))
        else:
            self.stdout.write(review_words.as_markdown(review))
        for address in addresses_in(options["mail"]):
            if error := review_mail.send(row, address):
                raise CommandError(f"The mail to {address} was not sent: {error}.")
