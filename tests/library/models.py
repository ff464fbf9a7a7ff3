"""Models with every kind of relation; properties and methods as one finds them in projects."""

import uuid

from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.urls import reverse


class Named(models.Model):
    name = models.CharField(max_length=80)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.name


class Language(Named):
    code = models.CharField(max_length=8, unique=True)


class Publisher(Named):
    city = models.CharField(max_length=40, blank=True)


class Tag(Named):
    pass


class Shop(Named):
    address = models.TextField(blank=True)


class Reader(Named):
    email = models.EmailField(blank=True)


class ActiveAuthors(models.Manager["Author"]):
    def get_queryset(self) -> models.QuerySet["Author"]:
        return super().get_queryset().filter(active=True)

    def by_name(self) -> models.QuerySet["Author"]:
        return self.get_queryset().order_by("name")  # <- queryset


class Author(Named):
    publisher = models.ForeignKey(Publisher, on_delete=models.CASCADE, related_name="authors")
    mentor = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="pupils"
    )
    language = models.ForeignKey(
        Language, on_delete=models.PROTECT, to_field="code", related_name="speakers"
    )
    active = models.BooleanField(default=True)
    books_sold = models.IntegerField(default=0)

    objects: models.Manager["Author"] = models.Manager()
    current = ActiveAuthors()

    def get_absolute_url(self) -> str:
        return reverse("author", args=[self.pk])

    @property
    def imprint(self) -> str:
        return f"{self.name} ({self.publisher.name})"  # <- here

    @property
    def titles(self) -> list[str]:
        return sorted(book.title for book in self.books.all())  # <- here

    @property
    def has_long_book(self) -> bool:
        return self.books.filter(pages__gt=150).exists()  # <- here

    def about(self) -> str:
        return self.profile.biography[:20]  # <- here


class Profile(models.Model):
    author = models.OneToOneField(Author, on_delete=models.CASCADE, related_name="profile")
    biography = models.TextField(blank=True)
    website = models.URLField(blank=True)

    def __str__(self) -> str:
        return self.website


class Book(models.Model):
    title = models.CharField(max_length=120)
    author = models.ForeignKey(Author, on_delete=models.CASCADE, related_name="books")
    editor = models.ForeignKey(
        Author,
        on_delete=models.SET_NULL,
        null=True,
        related_name="edited_books",
        related_query_name="edited",
    )
    tags = models.ManyToManyField(Tag, related_name="books")
    shops = models.ManyToManyField(Shop, through="Stock", related_name="books")
    notes = GenericRelation("library.Note")
    pages = models.IntegerField(default=100)
    price = models.DecimalField(max_digits=8, decimal_places=2, default=10)
    text = models.TextField(blank=True)

    def __str__(self) -> str:
        return self.title

    @property
    def publisher_name(self) -> str:
        return self.author.publisher.name  # <- here

    def excerpt(self) -> str:
        return self.text[:30]  # <- here

    def label(self) -> str:
        return ", ".join(sorted(str(tag) for tag in self.tags.all()))  # <- here


class CheapBook(Book):
    class Meta:
        proxy = True

    def tagline(self) -> str:
        return f"Only {self.price}!"


class AudioBook(Book):
    narrator = models.ForeignKey(Reader, on_delete=models.PROTECT, related_name="narrated")
    minutes = models.IntegerField(default=60)


class Stock(models.Model):
    book = models.ForeignKey(Book, on_delete=models.CASCADE)
    shop = models.ForeignKey(Shop, on_delete=models.CASCADE)
    amount = models.IntegerField(default=1)

    def __str__(self) -> str:
        return f"{self.amount} of {self.book_id}"


class Review(models.Model):
    book = models.ForeignKey(Book, on_delete=models.CASCADE, related_name="reviews")
    reviewer = models.ForeignKey(Reader, on_delete=models.CASCADE, related_name="reviews")
    stars = models.IntegerField(default=3)
    body = models.TextField(blank=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return "*" * self.stars


class Note(models.Model):
    content_type = models.ForeignKey(
        ContentType,
        on_delete=models.CASCADE,
        db_constraint=False,  # an app without migrations cannot refer to one that has some
        related_name="+",
    )
    object_id = models.BigIntegerField()
    target = GenericForeignKey()
    text = models.CharField(max_length=200)

    def __str__(self) -> str:
        return self.text


class Category(Named):
    parent = models.ForeignKey(
        "self", on_delete=models.CASCADE, null=True, blank=True, related_name="children"
    )

    def path(self) -> str:
        return f"{self.parent.path()}/{self.name}" if self.parent else self.name


class Order(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    buyer = models.ForeignKey(Reader, on_delete=models.CASCADE, related_name="orders")
    number = models.IntegerField(default=0)
    status = models.CharField(max_length=10, default="new")

    def __str__(self) -> str:
        return f"order {self.number}"

    def total(self) -> int:
        lines = self.lines.all()  # <- queryset
        return sum(line.amount * int(line.book.price) for line in lines)  # <- here


class OrderLine(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    book = models.ForeignKey(Book, on_delete=models.CASCADE, related_name="+")
    amount = models.IntegerField(default=1)

    def __str__(self) -> str:
        return f"{self.amount} × {self.book_id}"


class Shelfmark(models.Model):
    """As taken over from an older system: odd names of the table and of its columns."""

    mark = models.CharField(max_length=20, db_column="Shelf-No")
    volume = models.ForeignKey(Book, on_delete=models.CASCADE, db_column="bk_ref")

    class Meta:
        db_table = "tbl shelf"

    def __str__(self) -> str:
        return self.mark


class Setting(models.Model):
    key = models.CharField(max_length=40, unique=True)
    value = models.CharField(max_length=40)

    def __str__(self) -> str:
        return self.key


class Ledger(models.Model):
    """What batches applied, a row each time."""

    item = models.BigIntegerField()
    note = models.CharField(max_length=40, blank=True)

    def __str__(self) -> str:
        return f"{self.item}: {self.note}"


class Product(models.Model):
    """What batches write to: a key, values of several types, a sequence, a reference."""

    sku = models.CharField(max_length=20, unique=True)
    name = models.CharField(max_length=60, blank=True)
    price = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    stock = models.PositiveIntegerField(default=0)
    active = models.BooleanField(default=True)
    details = models.JSONField(default=dict, blank=True)
    version = models.BigIntegerField(default=0)
    changed_at = models.DateTimeField(null=True, blank=True)
    language = models.ForeignKey(
        Language, on_delete=models.CASCADE, null=True, blank=True, related_name="products"
    )

    def __str__(self) -> str:
        return self.sku


from tests.library import measures, press  # noqa: E402, F401  (their models point at these)
