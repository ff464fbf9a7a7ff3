"""Coroutines: the place is the user's line, not the executor's."""

import asyncio

from asgiref.sync import async_to_sync, sync_to_async

from tests.library.helpers import byline
from tests.library.models import Author, Book, Publisher, Reader, Tag
from tests.queries.case import (
    BATCH,
    BULK_CREATE,
    WRITE,
    annotated,
    fixes,
    join,
    prefetch,
    run_loop,
)


def get_in_async_loop():
    async def cities():
        found = []
        async for author in Author.objects.order_by("pk"):  # <- queryset
            publisher = await Publisher.objects.aget(pk=author.publisher_id)  # <- here
            found.append(publisher.city)
        return found

    return run_loop(cities())


@fixes(get_in_async_loop, BATCH, join("publisher"), committed=True)
def get_in_async_loop_fixed():
    async def cities():
        authors = Author.objects.select_related("publisher").order_by("pk")
        return [author.publisher.city async for author in authors]

    return run_loop(cities())


def count_in_async_loop():
    async def sizes():
        return {
            publisher.name: await publisher.authors.acount()  # <- here
            async for publisher in Publisher.objects.all()  # <- queryset
        }

    return async_to_sync(sizes)()


@fixes(count_in_async_loop, annotated("Count", "authors"), prefetch("authors"))
def count_in_async_loop_fixed():
    async def sizes():
        publishers = Publisher.objects.prefetch_related("authors")
        return {p.name: len(p.authors.all()) async for p in publishers}

    return async_to_sync(sizes)()


def related_in_async_loop():
    async def main():
        titles = []
        async for tag in Tag.objects.order_by("pk"):  # <- queryset
            async for book in tag.books.all():  # <- here
                titles.append(book.title)
        return sorted(titles)

    return run_loop(main())


@fixes(related_in_async_loop, prefetch("books"), committed=True)
def related_in_async_loop_fixed():
    async def main():
        tags = Tag.objects.prefetch_related("books")
        return sorted([book.title async for tag in tags for book in tag.books.all()])

    return run_loop(main())


def helper_in_executor():
    async def main():
        lines = []
        async for book in Book.objects.order_by("pk"):  # <- queryset
            lines.append(await sync_to_async(byline)(book))
        return lines

    return run_loop(main())


@fixes(helper_in_executor, join("author"), here=byline, committed=True)
def helper_in_executor_fixed():
    async def main():
        books = Book.objects.select_related("author").order_by("pk")
        return [byline(book) async for book in books]

    return run_loop(main())


def gathered():
    async def email(name):
        reader = await Reader.objects.filter(name=name).afirst()  # <- here
        return reader and reader.email

    async def main():
        names = [reader.name async for reader in Reader.objects.order_by("pk")]
        return await asyncio.gather(*map(email, names))

    return run_loop(main())


@fixes(gathered, BATCH, committed=True)
def gathered_fixed():
    async def main():
        names = [reader.name async for reader in Reader.objects.order_by("pk")]
        found = {r.name: r.email async for r in Reader.objects.filter(name__in=names)}
        return [found[name] for name in names]

    return run_loop(main())


def created():
    async def main():
        names = [author.name async for author in Author.objects.all()]
        for name in names:
            await Tag.objects.acreate(name=f"of {name}")  # <- here
        return await Tag.objects.filter(name__startswith="of ").acount()

    return async_to_sync(main)()


@fixes(created, BULK_CREATE, kinds=(WRITE,))
def created_fixed():
    async def main():
        names = [author.name async for author in Author.objects.all()]
        await Tag.objects.abulk_create([Tag(name=f"of {name}") for name in names])
        return await Tag.objects.filter(name__startswith="of ").acount()

    return async_to_sync(main)()


def loop_in_a_lambda():
    async def main():
        authors = [a async for a in Author.objects.order_by("pk")]  # <- queryset
        names = []
        for author in authors:
            publisher = await sync_to_async(lambda a=author: a.publisher)()  # <- here
            names.append(publisher.name)
        return names

    return async_to_sync(main)()


@fixes(loop_in_a_lambda, join("publisher"))
def loop_in_a_lambda_fixed():
    async def main():
        authors = Author.objects.select_related("publisher").order_by("pk")
        return [author.publisher.name async for author in authors]

    return async_to_sync(main)()
