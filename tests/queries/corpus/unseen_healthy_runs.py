"""Coroutines, threads and tasks that ask once, or once for each batch."""

# mypy: disable-error-code="union-attr"

import asyncio
from concurrent.futures import ThreadPoolExecutor

from asgiref.sync import async_to_sync
from celery import chain, shared_task
from django.db import connection

from tests.library.press import Article, Section, Subscription
from tests.queries.case import healthy, run_loop
from tests.queries.corpus.healthy_batches import chunks


@healthy()
def three_questions_at_once():
    async def main():
        newest, size, heads = await asyncio.gather(
            Article.objects.newest().afirst(),
            Section.objects.acount(),
            Subscription.objects.filter(months=1).aexists(),
        )
        return newest.status, size > 0, heads

    return async_to_sync(main)()


@healthy(growth=3, committed=True)
def async_pages():
    async def page(start):
        articles = Article.objects.select_related("section").order_by("number")
        return [str(article) async for article in articles[start : start + 4]]

    async def main():
        found, start = [], 0
        while some := await page(start):
            found += some
            start += 4
        return found

    return run_loop(main())


@healthy(growth=6, committed=True)
def pool_of_batches():
    def heads(keys):
        try:
            sections = Section.objects.filter(pk__in=keys).select_related("head")
            return [section.head.name for section in sections]
        finally:
            connection.close()

    keys = list(Section.objects.order_by("slug").values_list("slug", flat=True))
    with ThreadPoolExecutor(2) as pool:
        return sorted(name for some in pool.map(heads, chunks(keys, 2)) for name in some)


@shared_task(name="press.collect")
def collect():
    return list(Article.objects.published().values_list("pk", flat=True))


@shared_task(name="press.headlines")
def headlines(keys):
    articles = Article.objects.filter(pk__in=keys).select_related("section")
    return sorted(str(article) for article in articles)


@healthy()
def chain_of_tasks():
    return chain(collect.s(), headlines.s()).apply().get()
