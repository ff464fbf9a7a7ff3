"""Coroutines of AsyncMongoClient: the place is the line that awaits."""

import asyncio

from pymongo import UpdateOne

from tests.queries.mongo_case import WRITE, fixes, healthy


async def find_one(db):
    names = []
    async for book in db.books.find().sort("year", 1):
        author = await db.authors.find_one({"_id": book["author_id"]})  # <- here
        names.append(author["name"])
    return names


@fixes(find_one, r'db\.authors\.find\(\{"_id": \{"\$in": .*"\$lookup": \{"from": "authors"')
async def find_one_fixed(db):
    books = await db.books.find().sort("year", 1).to_list()
    ids = [book["author_id"] for book in books]
    names = {one["_id"]: one["name"] async for one in db.authors.find({"_id": {"$in": ids}})}
    return [names[book["author_id"]] for book in books]


async def gathered(db):
    async def titles(author):
        found = db.books.find({"author_id": author["_id"]}).sort("year", 1)
        return [book["title"] async for book in found]  # <- here

    authors = await db.authors.find().to_list()
    return await asyncio.gather(*map(titles, authors))


@fixes(gathered, r'db\.books\.find\(\{"author_id": \{"\$in": ')
async def gathered_fixed(db):
    found: dict[object, list[str]] = {}
    async for book in db.books.find().sort("year", 1):
        found.setdefault(book["author_id"], []).append(book["title"])
    return [found[author["_id"]] async for author in db.authors.find()]


async def update(db):
    async for book in db.books.find():
        await db.books.update_one({"_id": book["_id"]}, {"$inc": {"year": 1}})  # <- here
    return sorted([book["year"] async for book in db.books.find()])


@fixes(update, r"db\.books\.bulk_write\(\[UpdateOne", WRITE)
async def update_fixed(db):
    ids = [book["_id"] async for book in db.books.find()]
    await db.books.bulk_write([UpdateOne({"_id": one}, {"$inc": {"year": 1}}) for one in ids])
    return sorted([book["year"] async for book in db.books.find()])


async def tasks_that_insert(db):
    async def one(name):
        await db.log.insert_one({"name": name})  # <- here

    names = [author["name"] async for author in db.authors.find()]
    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(one(name))
    return sorted([entry["name"] async for entry in db.log.find()])


@fixes(tasks_that_insert, r"db\.log\.insert_many\(", WRITE)
async def tasks_that_insert_fixed(db):
    await db.log.insert_many([{"name": author["name"]} async for author in db.authors.find()])
    return sorted([entry["name"] async for entry in db.log.find()])


@healthy()
async def many_batches(db):
    return [book["title"] async for book in db.books.find(batch_size=2)]


@healthy()
async def bulk_at_once(db):
    await asyncio.gather(db.authors.find_one(), db.books.find_one(), db.queue.find_one())
    await db.log.insert_many([{"n": n} for n in range(20)])
