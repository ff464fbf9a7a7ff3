"""Celery tasks, run where they are called."""

from celery import shared_task

from tests.library.helpers import tag_names
from tests.library.models import Author, Book, Note, Order, Reader
from tests.queries.case import BULK_UPDATE, WRITE, fixes, join, prefetch


@shared_task(name="library.digest")
def digest(fixed=False):
    authors = Author.objects.order_by("pk")  # <- queryset
    if fixed:
        authors = authors.select_related("publisher")
    return [f"{author.name}: {author.publisher.name}" for author in authors]  # <- here


def relation_in_task():
    return digest.apply().get()


@fixes(relation_in_task, join("publisher"), here=digest.run, queryset=digest.run)
def relation_in_task_fixed():
    return digest.apply(kwargs={"fixed": True}).get()


@shared_task(name="library.index", bind=True, max_retries=2)
def index(self, ids, related=()):
    books = Book.objects.filter(pk__in=ids).prefetch_related(*related)  # <- queryset
    return {book.title: tag_names(book) for book in books}


def helper_in_task():
    ids = list(Book.objects.values_list("pk", flat=True))
    return index.apply((ids,)).get()


@fixes(helper_in_task, prefetch("tags"), here=tag_names, queryset=index.run)
def helper_in_task_fixed():
    ids = list(Book.objects.values_list("pk", flat=True))
    return index.apply((ids,), {"related": ["tags"]}).get()


@shared_task(name="library.ship")
def ship():
    shipped = 0
    for order in Order.objects.filter(status="new"):
        order.status = "sent"
        order.save(update_fields=["status"])  # <- here
        shipped += 1
    return shipped


@shared_task(name="library.ship_all")
def ship_all():
    return Order.objects.filter(status="new").update(status="sent")


def write_in_task():
    return ship.apply().get(), Order.objects.filter(status="sent").count()


@fixes(write_in_task, BULK_UPDATE, kinds=(WRITE,), here=ship.run)
def write_in_task_fixed():
    return ship_all.apply().get(), Order.objects.filter(status="sent").count()


@shared_task(name="library.mail")
def mail(fixed=False):
    sent = []
    readers = Reader.objects.all()  # <- queryset
    if fixed:
        readers = readers.prefetch_related("orders")
    for reader in readers:
        for order in reader.orders.all():  # <- here
            sent.append(f"{reader.email} {order.number}")
    return sorted(sent)


def two_loops_in_task():
    return mail.apply().result, Note.objects.exists()


@fixes(two_loops_in_task, prefetch("orders"), here=mail.run, queryset=mail.run)
def two_loops_in_task_fixed():
    return mail.apply(kwargs={"fixed": True}).result, Note.objects.exists()
