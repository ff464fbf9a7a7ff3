"""Coroutines, threads, pools, queues, tasks within tasks, and what runs after a commit."""

# mypy: disable-error-code="union-attr"

import asyncio
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from multiprocessing.pool import ThreadPool
from queue import SimpleQueue
from threading import Thread

from asgiref.sync import async_to_sync, sync_to_async
from celery import group, shared_task
from django.db import connection, transaction

from tests.library.press import Article, Comment, Section, Subscription
from tests.queries.case import (
    BATCH,
    BULK_UPDATE,
    DUPLICATE,
    EXISTS,
    WRITE,
    annotated,
    fixes,
    join,
    narrowed,
    prefetch,
    run_loop,
)


def task_group():
    async def title(article):
        section = await Section.objects.aget(slug=article.section_id)  # <- here
        return section.title

    async def main():
        articles = [a async for a in Article.objects.order_by("number")]  # <- queryset
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(title(article)) for article in articles]
        return [task.result() for task in running]

    return run_loop(main())


@fixes(task_group, BATCH, join("section"), committed=True)
def task_group_fixed():
    async def main():
        articles = Article.objects.select_related("section").order_by("number")
        return [article.section.title async for article in articles]

    return run_loop(main())


def bounded_gather():
    async def main():
        limit = asyncio.Semaphore(2)

        async def liked(article):
            async with limit:
                return await article.comments.filter(likes__gt=0).aexists()  # <- here

        articles = [one async for one in Article.objects.order_by("number")]  # <- queryset
        return sum(await asyncio.gather(*[liked(article) for article in articles]))

    return run_loop(main())


@fixes(bounded_gather, EXISTS, annotated("Count", "comments"), narrowed("comments"), committed=True)
def bounded_gather_fixed():
    async def main():
        articles = Article.objects.prefetch_related("comments").order_by("number")
        return sum([any(c.likes > 0 for c in one.comments.all()) async for one in articles])

    return run_loop(main())


def saved_in_async_loop():
    async def main():
        async for article in Article.objects.filter(status="published"):
            article.status = "sent"
            await article.asave(update_fields=["status"])  # <- here
        return await Article.objects.filter(status="sent").acount()

    return async_to_sync(main)()


@fixes(saved_in_async_loop, BULK_UPDATE, kinds=(WRITE,))
def saved_in_async_loop_fixed():
    async def main():
        await Article.objects.filter(status="published").aupdate(status="sent")
        return await Article.objects.filter(status="sent").acount()

    return async_to_sync(main)()


def async_generator():
    async def said():
        async for article in Article.objects.order_by("number"):  # <- queryset
            last = await article.comments.order_by("pk").alast()  # <- here
            yield last.text

    async def main():
        return [text async for text in said()]

    return run_loop(main())


@fixes(async_generator, narrowed("comments"), annotated("Subquery"), committed=True)
def async_generator_fixed():
    async def main():
        articles = Article.objects.prefetch_related("comments").order_by("number")
        return [max(a.comments.all(), key=lambda c: c.pk).text async for a in articles]

    return run_loop(main())


def in_a_thread_for_each():
    def plan_of(subscription):
        try:
            return subscription.plan.name  # <- here
        finally:
            connection.close()

    async def main():
        subscriptions = Subscription.objects.order_by("months")  # <- queryset
        return [await asyncio.to_thread(plan_of, one) async for one in subscriptions]

    return run_loop(main())


@fixes(in_a_thread_for_each, join("plan"), committed=True)
def in_a_thread_for_each_fixed():
    async def main():
        subscriptions = Subscription.objects.select_related("plan").order_by("months")
        return [one.plan.name async for one in subscriptions]

    return run_loop(main())


def sync_loop_in_an_executor():
    def ordered():
        return list(Article.objects.order_by("number"))  # <- queryset

    def render(articles):
        return [f"{a.number} {a.section.title}" for a in articles]  # <- here

    async def main():
        articles = await sync_to_async(ordered)()
        return await sync_to_async(render)(articles)

    return run_loop(main())


@fixes(sync_loop_in_an_executor, join("section"), committed=True)
def sync_loop_in_an_executor_fixed():
    async def main():
        articles = Article.objects.select_related("section").order_by("number")
        return [f"{a.number} {a.section.title}" async for a in articles]

    return run_loop(main())


def pool_of_threads():
    def talk(article):
        try:
            return article.number, article.comments.count()  # <- here
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=2) as pool:
        running = [pool.submit(talk, a) for a in Article.objects.order_by("number")]  # <- queryset
        return sorted(one.result() for one in as_completed(running))


@fixes(pool_of_threads, annotated("Count", "comments"), prefetch("comments"), committed=True)
def pool_of_threads_fixed():
    articles = Article.objects.prefetch_related("comments").order_by("number")
    return [(article.number, len(article.comments.all())) for article in articles]


def mapped_over_a_pool():
    def head_of(section):
        try:
            head = section.head  # <- here
            return head.name
        finally:
            connection.close()

    with ThreadPool(2) as pool:
        return pool.map(head_of, Section.objects.order_by("slug"))  # <- queryset


@fixes(mapped_over_a_pool, join("head"), committed=True)
def mapped_over_a_pool_fixed():
    return [
        section.head.name for section in Section.objects.select_related("head").order_by("slug")
    ]


class Worker(Thread):
    """Takes keys from a queue until there is none."""

    def __init__(self, keys):
        super().__init__()
        self.keys, self.found = keys, list[str]()

    def run(self):
        try:
            while (key := self.keys.get()) is not None:
                self.found.append(Article.objects.get(pk=key).headline)  # <- here
        finally:
            connection.close()


def queue_of_keys():
    keys: SimpleQueue[int | None] = SimpleQueue()
    worker = Worker(keys)
    worker.start()
    for key in [*Article.objects.order_by("number").values_list("pk", flat=True), None]:
        keys.put(key)
    worker.join()
    return worker.found


@fixes(queue_of_keys, BATCH, here=Worker, committed=True)
def queue_of_keys_fixed():
    keys = list(Article.objects.order_by("number").values_list("pk", flat=True))
    found = Article.objects.in_bulk(keys)
    return [found[key].headline for key in keys]


@shared_task(name="press.digest")
def digest(remainder, fixed=False):
    articles = Article.objects.order_by("number")  # <- queryset
    if fixed:
        articles = articles.select_related("photographer")
    return [a.photographer.name for a in articles if a.number % 2 == remainder]  # <- here


def group_of_tasks():
    return group(digest.s(remainder) for remainder in (0, 1)).apply().get()


# Both tasks ask for the same rows, which may be told.
@fixes(
    group_of_tasks,
    join("photographer"),
    here=digest.run,
    queryset=digest.run,
    accepted=frozenset({DUPLICATE}),
)
def group_of_tasks_fixed():
    return group(digest.s(remainder, fixed=True) for remainder in (0, 1)).apply().get()


@shared_task(name="press.moderate")
def moderate(fixed=False):
    comments = Comment.objects.order_by("pk")  # <- queryset
    return excerpts.apply((fixed,)).get(), comments.count()


@shared_task(name="press.excerpts", ignore_result=True)
def excerpts(fixed):
    comments = Comment.objects.order_by("pk")  # <- queryset
    if fixed:
        comments = comments.select_related("article")
    return {c.text: c.article.headline for c in comments}  # <- here


def task_in_a_task():
    return moderate.apply().get()


@fixes(task_in_a_task, join("article"), here=excerpts.run, queryset=excerpts.run)
def task_in_a_task_fixed():
    return moderate.apply(kwargs={"fixed": True}).get()


def after_the_commit():
    told = []

    def tell(key):
        told.append(Article.objects.get(pk=key).headline)  # <- here

    with transaction.atomic():
        for key in list(Article.objects.order_by("number").values_list("pk", flat=True)):
            transaction.on_commit(partial(tell, key))
    return told


@fixes(after_the_commit, BATCH, committed=True)
def after_the_commit_fixed():
    told: list[str] = []
    with transaction.atomic():
        keys = list(Article.objects.order_by("number").values_list("pk", flat=True))

        def tell_all():
            told.extend(article.headline for article in Article.objects.filter(pk__in=keys))

        transaction.on_commit(tell_all)
    return sorted(told, key=lambda headline: int(headline.split()[1]))
