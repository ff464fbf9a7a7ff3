"""Work in threads."""

from concurrent.futures import ThreadPoolExecutor
from threading import Thread

from tests.queries.mongo_case import fixes


def pool(db):
    def count(author):
        return db.books.count_documents({"author_id": author["_id"]})  # <- here

    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(count, list(db.authors.find())))


@fixes(pool, r'"\$group": \{"_id": "\$author_id", "count"')
def pool_fixed(db):
    group = {"$group": {"_id": "$author_id", "n": {"$sum": 1}}}

    def count(authors):
        counts = {one["_id"]: one["n"] for one in db.books.aggregate([group])}
        return [counts[author["_id"]] for author in authors]

    with ThreadPoolExecutor(2) as threads:
        return threads.submit(count, list(db.authors.find())).result()


def thread(db):
    names = []

    def work():
        for book in db.books.find().sort("year", 1):
            names.append(db.authors.find_one({"_id": book["author_id"]})["name"])  # <- here

    one = Thread(target=work)
    one.start()
    one.join()
    return names


@fixes(thread, r'db\.authors\.find\(\{"_id": \{"\$in": ')
def thread_fixed(db):
    join = {"from": "authors", "localField": "author_id", "foreignField": "_id", "as": "author"}
    names = []

    def work():
        for book in db.books.aggregate([{"$sort": {"year": 1}}, {"$lookup": join}]):
            names.append(book["author"][0]["name"])

    one = Thread(target=work)
    one.start()
    one.join()
    return names
