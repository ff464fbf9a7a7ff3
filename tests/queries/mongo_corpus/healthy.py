"""Repetition that is in order: batches, pages, cursors, retries, polls, claims, steps."""

import contextlib

from pymongo import DeleteOne, InsertOne, UpdateOne
from pymongo.errors import OperationFailure

from tests.queries.mongo_case import DUPLICATE, REVIEW, healthy


@healthy()
def many_batches(db):
    return [book["title"] for book in db.books.find(batch_size=2)]


@healthy()
def pages(db):
    titles = []
    for start in range(0, db.books.count_documents({}), 3):
        titles += [one["title"] for one in db.books.find().sort("year", 1).skip(start).limit(3)]
    return titles


@healthy()
def pages_by_aggregate(db):
    steps = [[{"$sort": {"year": 1}}, {"$skip": at}, {"$limit": 3}] for at in range(0, 9, 3)]
    return [len(list(db.books.aggregate([{"$match": {"genre": "novel"}}, *one]))) for one in steps]


@healthy()
def keyset_chunks(db):
    last, titles = 0, []
    while chunk := list(db.books.find({"year": {"$gt": last}}).sort("year", 1).limit(4)):
        titles += [one["title"] for one in chunk]
        last = chunk[-1]["year"]
    return titles


@healthy()
def chunks_of_ids(db):
    ids = [one["_id"] for one in db.books.find()]
    chunks = [ids[at : at + 3] for at in range(0, len(ids), 3)]
    return sum(len(list(db.books.find({"_id": {"$in": chunk}}))) for chunk in chunks)


@healthy()
def chunks_written(db):
    for start in range(0, 12, 4):
        db.log.insert_many([{"n": start + n} for n in range(4)])
        many = [UpdateOne({"n": start + n}, {"$inc": {"k": 1}}) for n in range(4)]
        db.log.bulk_write(many, ordered=False)
        db.log.delete_many({"n": {"$in": [start, start + 1]}})
    return db.log.count_documents({})


@healthy()
def alternatives(db):
    found = 0
    for years in ((1990, 1991), (1992, 1993), (1994, 1995)):
        found += len(list(db.books.find({"$or": [{"year": year} for year in years]})))
    return found


@healthy()
def aggregates_over_all(db):
    sums = []
    for size in (1, 2, 3):
        stages = [{"$group": {"_id": {"$mod": ["$year", size]}, "n": {"$sum": 1}}}]
        sums.append(len(list(db.books.aggregate(stages))))
    return sums


def fail_once(db, command, *labels):
    data = {"failCommands": [command], "errorCode": 262, "errorLabels": labels}
    point = {"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": data}
    db.client.admin.command(point)


@healthy()
def the_driver_reads_again(db):
    """The server fails the first attempt; the driver itself sends the command a second time."""
    fail_once(db, "find")
    return db.books.find_one({"title": "book 1"})["year"]


@healthy()
def the_driver_writes_again(db):
    fail_once(db, "update", "RetryableWriteError")
    return db.books.update_one({"title": "book 1"}, {"$inc": {"year": 1}}).modified_count


@healthy()
def the_program_tries_again(db):
    for _ in range(4):
        with contextlib.suppress(OperationFailure):
            return list(db.books.find({"$no_such_operator": 1}))
    return []


@healthy(DUPLICATE)
def poll(db):
    for attempt in range(4):
        if db.queue.count_documents({"status": "done"}) > 100:
            return attempt
    return None


@healthy(REVIEW)
def queue_claim(db):
    numbers = []
    for number in range(3):
        taken = db.queue.find_one_and_update(
            {"status": "new"}, {"$set": {"status": f"taken {number}"}}, sort=[("number", 1)]
        )
        numbers.append(taken["number"])
    return numbers


@healthy(REVIEW)
def up_a_tree(db):
    path: list[str] = []
    name: str | None = "n5"
    while name is not None:
        node = db.nodes.find_one({"_id": name})
        path.append(node["_id"])
        name = node["parent"]
    return path


@healthy()
def separate_lines(db):
    db.log.insert_one({"text": "one"})
    db.log.insert_one({"text": "two"})
    first = db.books.find_one({"title": "book 1"})
    second = db.books.find_one({"title": "book 2"})
    return first["year"], second["year"]


@healthy()
def one_operation_of_many_commands(db):
    """Inserts and deletes in turn, in order: the driver sends each by itself."""
    in_turn = [one for n in range(5) for one in (InsertOne({"_id": n}), DeleteOne({"_id": n}))]
    return db.log.bulk_write(in_turn).deleted_count


@healthy()
def written_between_the_same_reads(db):
    counts = []
    for number in range(3):
        counts.append(db.log.count_documents({}))
        db.log.insert_many([{"n": number}, {"n": number}])
    return counts
