"""Documents written one by one."""

from pymongo import DeleteOne, InsertOne, ReplaceOne, UpdateOne

from tests.queries.mongo_case import WRITE, fixes


def insert(db):
    for author in db.authors.find():
        db.log.insert_one({"text": f"seen {author['name']}"})  # <- here
    return sorted(one["text"] for one in db.log.find())


@fixes(insert, r"^db\.log\.insert_many\(\[…\]\)$", WRITE)
def insert_fixed(db):
    db.log.insert_many([{"text": f"seen {author['name']}"} for author in db.authors.find()])
    return sorted(one["text"] for one in db.log.find())


def years(db):
    return sorted(book["year"] for book in db.books.find())


def update(db):
    for book in db.books.find():
        db.books.update_one({"_id": book["_id"]}, {"$set": {"year": book["year"] + 1}})  # <- here
    return years(db)


@fixes(
    update,
    r'db\.books\.bulk_write\(\[UpdateOne\(\{"_id": …\}, \{"\$set": …\}\), …\]\).*'
    r'db\.books\.update_many\(\{"_id": \{"\$in": ',
    WRITE,
)
def update_fixed(db):
    db.books.bulk_write(
        [
            UpdateOne({"_id": one["_id"]}, {"$set": {"year": one["year"] + 1}})
            for one in db.books.find()
        ]
    )
    return years(db)


def upsert(db):
    for book in db.books.find():
        db.log.update_one({"_id": book["title"]}, {"$inc": {"n": 1}}, upsert=True)  # <- here
    return sorted(one["_id"] for one in db.log.find())


@fixes(
    upsert, r'bulk_write\(\[UpdateOne\(\{"_id": …\}, \{"\$inc": …\}, upsert=True\), …\]\)', WRITE
)
def upsert_fixed(db):
    titles = [book["title"] for book in db.books.find()]
    db.log.bulk_write([UpdateOne({"_id": one}, {"$inc": {"n": 1}}, upsert=True) for one in titles])
    return sorted(one["_id"] for one in db.log.find())


def replace(db):
    for book in list(db.books.find()):
        book["year"] += 1
        db.books.replace_one({"_id": book["_id"]}, book)  # <- here
    return years(db)


@fixes(replace, r'db\.books\.bulk_write\(\[ReplaceOne\(\{"_id": …\}, …\), …\]\)', WRITE)
def replace_fixed(db):
    books = [{**book, "year": book["year"] + 1} for book in db.books.find()]
    db.books.bulk_write([ReplaceOne({"_id": book["_id"]}, book) for book in books])
    return years(db)


def delete(db):
    for book in list(db.books.find({"genre": "essay"})):
        db.books.delete_one({"_id": book["_id"]})  # <- here
    return years(db)


@fixes(
    delete, r'db\.books\.delete_many\(\{"_id": \{"\$in": \[one\["_id"\] for one in books\]', WRITE
)
def delete_fixed(db):
    ids = [book["_id"] for book in db.books.find({"genre": "essay"})]
    db.books.delete_many({"_id": {"$in": ids}})
    return years(db)


def modify_by_id(db):
    before = []
    for author in db.authors.find():
        change = {"$set": {"seen": True}}
        found = db.authors.find_one_and_update({"_id": author["_id"]}, change)  # <- here
        before.append(found["name"])
    return sorted(before)


@fixes(modify_by_id, r'db\.authors\.bulk_write\(\[UpdateOne\(\{"_id": …\}, \{"\$set": …\}\)', WRITE)
def modify_by_id_fixed(db):
    names = sorted(author["name"] for author in db.authors.find())
    db.authors.update_many({}, {"$set": {"seen": True}})
    return names


def bulk_of_one_each(db):
    for book in db.books.find():
        db.books.bulk_write([UpdateOne({"_id": book["_id"]}, {"$inc": {"year": 1}})])  # <- here
    return years(db)


@fixes(bulk_of_one_each, r"db\.books\.bulk_write\(\[UpdateOne", WRITE)
def bulk_of_one_each_fixed(db):
    """One bulk of several kinds: the server gets a command for each run of one kind."""
    operations = []
    for number, book in enumerate(db.books.find()):
        operations += [
            UpdateOne({"_id": book["_id"]}, {"$inc": {"year": 1}}),
            InsertOne({"_id": number}),
            DeleteOne({"_id": number}),
        ]
    db.books.bulk_write(operations)
    return years(db)
