"""Documents asked for one by one."""

from typing import Any

from tests.queries.mongo_case import DUPLICATE, fixes


def find_one_by_reference(db):
    return [
        (book["title"], db.authors.find_one({"_id": book["author_id"]})["name"])  # <- here
        for book in db.books.find().sort("year", 1)
    ]


@fixes(
    find_one_by_reference,
    r'db\.authors\.find\(\{"_id": \{"\$in": \[one\["author_id"\] for one in books\]\}\}\)'
    r'.*db\.books\.aggregate\(\[…, \{"\$lookup": \{"from": "authors", "localField": "author_id", '
    r'"foreignField": "_id".*# tests/queries/mongo_corpus/reads\.py:\d+',
)
def find_one_by_reference_fixed(db):
    books = list(db.books.find().sort("year", 1))
    ids = [book["author_id"] for book in books]
    names = {one["_id"]: one["name"] for one in db.authors.find({"_id": {"$in": ids}})}
    return [(book["title"], names[book["author_id"]]) for book in books]


def find_of_each(db):
    found = {}
    for author in db.authors.find():
        books = db.books.find({"author_id": author["_id"]}, {"title": 1}).sort("year", 1)
        found[author["name"]] = [book["title"] for book in books]  # <- here
    return found


@fixes(
    find_of_each,
    r'db\.books\.find\(\{"author_id": \{"\$in": \[one\["_id"\] for one in authors\]\}\}\)'
    r'.*"\$lookup": \{"from": "books", "localField": "_id", "foreignField": "author_id"',
)
def find_of_each_fixed(db):
    join = {"from": "books", "localField": "_id", "foreignField": "author_id", "as": "books"}
    return {
        author["name"]: [book["title"] for book in sorted(author["books"], key=lambda b: b["year"])]
        for author in db.authors.aggregate([{"$lookup": join}])
    }


def author_name(db: Any, author_id: Any) -> Any:
    return db.authors.find_one({"_id": author_id}, {"name": 1})["name"]  # <- here


def find_one_in_a_helper(db):
    return [author_name(db, book["author_id"]) for book in db.books.find().sort("year", 1)]


@fixes(find_one_in_a_helper, r'db\.authors\.find\(\{"_id": \{"\$in": ', here=author_name)
def find_one_in_a_helper_fixed(db):
    join = {"from": "authors", "localField": "author_id", "foreignField": "_id", "as": "author"}
    books = db.books.aggregate([{"$sort": {"year": 1}}, {"$lookup": join}])
    return [book["author"][0]["name"] for book in books]


def count_of_each(db):
    return {
        author["name"]: db.books.count_documents({"author_id": author["_id"]})  # <- here
        for author in db.authors.find()
    }


@fixes(
    count_of_each,
    r'db\.books\.aggregate\(\[\{"\$match": \{"author_id": \{"\$in": .*'
    r'"\$group": \{"_id": "\$author_id", "count": \{"\$sum": 1\}\}',
)
def count_of_each_fixed(db):
    group = {"$group": {"_id": "$author_id", "n": {"$sum": 1}}}
    counts = {one["_id"]: one["n"] for one in db.books.aggregate([group])}
    return {author["name"]: counts[author["_id"]] for author in db.authors.find()}


def aggregate_of_each(db):
    newest = {}
    for author in db.authors.find():
        group = {"$group": {"_id": None, "at": {"$max": "$year"}}}
        rows = db.books.aggregate([{"$match": {"author_id": author["_id"]}}, group])  # <- here
        newest[author["name"]] = next(iter(rows))["at"]
    return newest


@fixes(
    aggregate_of_each,
    r'db\.books\.aggregate\(\[\{"\$match": \{"author_id": \{"\$in": .*'
    r'"\$group": \{"_id": "\$author_id"',
)
def aggregate_of_each_fixed(db):
    group = {"$group": {"_id": "$author_id", "at": {"$max": "$year"}}}
    newest = {one["_id"]: one["at"] for one in db.books.aggregate([group])}
    return {author["name"]: newest[author["_id"]] for author in db.authors.find()}


def distinct_of_each(db):
    genres = {}
    for author in db.authors.find():
        found = db.books.distinct("genre", {"author_id": author["_id"]})  # <- here
        genres[author["name"]] = sorted(found)
    return genres


@fixes(distinct_of_each, r'"\$group": \{"_id": "\$author_id", "values": \{"\$addToSet": "\$genre"')
def distinct_of_each_fixed(db):
    group = {"$group": {"_id": "$author_id", "genres": {"$addToSet": "$genre"}}}
    genres = {one["_id"]: sorted(one["genres"]) for one in db.books.aggregate([group])}
    return {author["name"]: genres[author["_id"]] for author in db.authors.find()}


def newest_of_each(db):
    newest = {}
    for author in db.authors.find():
        book = db.books.find_one({"author_id": author["_id"]}, sort=[("year", -1)])  # <- here
        newest[author["name"]] = book["title"]
    return newest


@fixes(
    newest_of_each, r'\{"\$sort": …\}, \{"\$group": \{"_id": "\$author_id", "first": \{"\$first"'
)
def newest_of_each_fixed(db):
    group = {"$group": {"_id": "$author_id", "title": {"$first": "$title"}}}
    titles = {
        one["_id"]: one["title"] for one in db.books.aggregate([{"$sort": {"year": -1}}, group])
    }
    return {author["name"]: titles[author["_id"]] for author in db.authors.find()}


def few_of_each(db):
    found = {}
    for author in db.authors.find():
        first = db.books.find({"author_id": author["_id"]}).sort("year", 1).limit(2)
        found[author["name"]] = [book["title"] for book in first]  # <- here
    return found


@fixes(few_of_each, r'"\$group": \{"_id": "\$author_id", "first": \{"\$firstN"')
def few_of_each_fixed(db):
    group = {"$group": {"_id": "$author_id", "titles": {"$push": "$title"}}}
    rows = db.books.aggregate([{"$sort": {"year": 1}}, group])
    titles = {one["_id"]: one["titles"][:2] for one in rows}
    return {author["name"]: titles[author["_id"]] for author in db.authors.find()}


def exists_for_each(db):
    return [
        author["name"]
        for author in db.authors.find()
        if db.books.find_one({"author_id": author["_id"], "genre": "essay"}, {"_id": 1})  # <- here
    ]


@fixes(
    exists_for_each, r'set\(db\.books\.distinct\("author_id", \{"author_id": \{"\$in": .*"genre": …'
)
def exists_for_each_fixed(db):
    with_essay = set(db.books.distinct("author_id", {"genre": "essay"}))
    return [author["name"] for author in db.authors.find() if author["_id"] in with_essay]


def by_two_fields(db):
    wanted = [(author["_id"], "novel") for author in db.authors.find()]
    wanted += [(author, "essay") for author, _ in wanted]
    return [
        db.books.find_one({"author_id": author, "genre": genre})["title"]  # <- here
        for author, genre in wanted[:: len(wanted) // 2 + 1] + wanted
    ]


@fixes(by_two_fields, r'db\.books\.find\(\{"\$or": \[\{"author_id": …, "genre": …\}, …\]\}\)')
def by_two_fields_fixed(db):
    wanted = [(author["_id"], "novel") for author in db.authors.find()]
    wanted += [(author, "essay") for author, _ in wanted]
    rows = db.books.find({"author_id": {"$in": [author for author, _ in wanted]}})
    titles = {(one["author_id"], one["genre"]): one["title"] for one in rows}
    return [titles[key] for key in wanted[:: len(wanted) // 2 + 1] + wanted]


def same_again(db):
    titles = []
    for _ in range(db.authors.count_documents({})):
        titles.append(db.books.find_one({"title": "book 1"})["year"])  # <- here
    return titles


@fixes(same_again, r"keep the result", kind=DUPLICATE)
def same_again_fixed(db):
    year = db.books.find_one({"title": "book 1"})["year"]
    return [year] * db.authors.count_documents({})
