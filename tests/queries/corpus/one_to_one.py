"""One-to-one relations, from both sides, and between a child model and its parent."""

from tests.library.models import AudioBook, Author, Book, Profile
from tests.queries.case import Fix, fixes, join


def reverse_loop():
    sites = []
    for author in Author.objects.order_by("pk"):  # <- queryset
        sites.append(author.profile.website)  # <- here
    return sites


@fixes(reverse_loop, join("profile"))
def reverse_loop_fixed():
    return [a.profile.website for a in Author.objects.select_related("profile").order_by("pk")]


def forward_loop():
    return {
        profile.author.name: profile.biography  # <- here
        for profile in Profile.objects.all()  # <- queryset
    }


@fixes(forward_loop, join("author"))
def forward_loop_fixed():
    return {p.author.name: p.biography for p in Profile.objects.select_related("author")}


def in_method():
    authors = Author.objects.select_related("publisher").order_by("pk")  # <- queryset
    return [f"{author.imprint}: {author.about()}" for author in authors]


@fixes(in_method, join("profile"), here=Author.about)
def in_method_fixed():
    authors = Author.objects.select_related("publisher", "profile").order_by("pk")
    return [f"{author.imprint}: {author.about()}" for author in authors]


def asked_whether_there_is_one():
    heard = []
    for book in Book.objects.order_by("pk"):  # <- queryset
        if hasattr(book, "audiobook"):  # <- here
            heard.append(book.title)
    return heard


@fixes(asked_whether_there_is_one, join("audiobook"))
def asked_whether_there_is_one_fixed():
    books = Book.objects.select_related("audiobook").order_by("pk")
    return [book.title for book in books if hasattr(book, "audiobook")]


def child_of_parent():
    minutes = 0
    for book in Book.objects.filter(audiobook__isnull=False):  # <- queryset
        minutes += book.audiobook.minutes  # <- here
    return minutes


@fixes(child_of_parent, join("audiobook"))
def child_of_parent_fixed():
    books = Book.objects.filter(audiobook__isnull=False).select_related("audiobook")
    return sum(book.audiobook.minutes for book in books)


def parents_text_behind_only():
    # The parent's columns are left out, so each access asks the parent's table.
    return sorted(
        audio.title  # <- here
        for audio in AudioBook.objects.only("minutes")  # <- queryset
    )


DEFERRED = r"only\([^)]*[\"']title[\"']|values(_list)?\([^)]*[\"']title|without \.?only"


@fixes(parents_text_behind_only, Fix(DEFERRED))
def parents_text_behind_only_fixed():
    return sorted(audio.title for audio in AudioBook.objects.only("minutes", "title"))


def through_an_author():
    bios = set()
    for book in Book.objects.select_related("author").order_by("pk"):  # <- queryset
        bios.add(book.author.profile.biography)  # <- here
    return bios


@fixes(through_an_author, join("author__profile"))
def through_an_author_fixed():
    return {b.author.profile.biography for b in Book.objects.select_related("author__profile")}
