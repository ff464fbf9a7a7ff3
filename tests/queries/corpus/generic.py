"""Generic relations, from both sides."""

from django.db.models import Count, Prefetch

from tests.library.models import Author, Book, Note
from tests.queries.case import annotated, fixes, narrowed, prefetch


def target_of_each():
    titles = []
    for note in Note.objects.order_by("pk"):  # <- queryset
        titles.append(str(note.target))  # <- here
    return titles


@fixes(target_of_each, prefetch("target"))
def target_of_each_fixed():
    return [str(note.target) for note in Note.objects.prefetch_related("target").order_by("pk")]


def notes_of_each():
    notes = {}
    for book in Book.objects.all():  # <- queryset
        notes[book.title] = [note.text for note in book.notes.all()]  # <- here
    return notes


@fixes(notes_of_each, prefetch("notes"))
def notes_of_each_fixed():
    books = Book.objects.prefetch_related("notes")
    return {book.title: [note.text for note in book.notes.all()] for book in books}


def counted():
    return [book.notes.count() for book in Book.objects.order_by("pk")]  # <- here


@fixes(counted, annotated("Count", "notes"), prefetch("notes"))
def counted_fixed():
    return [book.size for book in Book.objects.annotate(size=Count("notes")).order_by("pk")]


def filtered():
    def remarks(book):
        found = book.notes.filter(text__icontains="note")
        return list(found.values_list("text", flat=True))  # <- here

    return [remarks(book) for book in Book.objects.order_by("pk")]  # <- queryset


@fixes(filtered, narrowed("notes"))
def filtered_fixed():
    found = Prefetch("notes", Note.objects.filter(text__icontains="note"), to_attr="remarks")
    books = Book.objects.order_by("pk").prefetch_related(found)
    return [[note.text for note in book.remarks] for book in books]


def second_level():
    result = []
    for author in Author.objects.order_by("pk").prefetch_related("books"):  # <- queryset
        for book in author.books.all():
            result += [note.text for note in book.notes.all()]  # <- here
    return sorted(result)


@fixes(second_level, prefetch("books__notes"))
def second_level_fixed():
    authors = Author.objects.prefetch_related("books__notes")
    return sorted(n.text for a in authors for b in a.books.all() for n in b.notes.all())
