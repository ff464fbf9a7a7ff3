"""What a repetition of MongoDB commands is, and its fix as code to paste."""

import keyword
from collections.abc import Iterable

from optimizer.queries.engine.fingerprint import Verb
from optimizer.queries.engine.mongo_outline import shown_name
from optimizer.queries.services.commands import CommandGroup, Source
from optimizer.queries.services.suggestions import Fix

_OPERATIONS = {
    "updateOne": "UpdateOne",
    "updateMany": "UpdateMany",
    "replaceOne": "ReplaceOne",
    "findOneAndUpdate": "UpdateOne",
    "findOneAndReplace": "ReplaceOne",
}


def command_kind(group: CommandGroup) -> str | None:
    """Return the kind of finding that a repetition is, None where it is none."""
    shape = group.shape
    if shape.verb in (Verb.OTHER, Verb.CONTROL):
        return None
    if len(group.parameters) < 2:
        return "duplicate" if group.repeats and not shape.is_write else None
    if shape.is_batch or shape.is_page:
        return None
    if shape.is_locking or _climbs(group):
        return "review"
    return "write_n_plus_one" if shape.is_write else "n_plus_one"


def _climbs(group: CommandGroup) -> bool:
    return bool(group.climbs) and group.climbs * 2 >= group.count - 1


def command_fix(group: CommandGroup, kind: str) -> Fix:
    """Return the fix of repeated commands."""
    if kind == "duplicate":
        return Fix("Ask once and keep the result: the parameters are the same each time.")
    if kind == "review":
        return _review(group)
    if kind == "write_n_plus_one":
        return Fix(_write(group))
    return _read(group)


def collection_of(group: CommandGroup) -> str:
    """Return a collection as Python has it, `db.books` or `db["log.2024"]`."""
    name = group.shape.tables[0].partition(".")[2] if group.shape.tables else "collection"
    plain = name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("_")
    return f"db.{name}" if plain else f'db["{shown_name(name)}"]'


def _review(group: CommandGroup) -> Fix:
    name = collection_of(group)
    if group.shape.is_locking:
        return Fix(
            f"Each call takes one document that no other may have; to take several at once: "
            f'{name}.update_many({{"_id": {{"$in": […]}}}}, …)'
        )
    return Fix(
        "Each asks for what the one before it names; a tree in one query: "
        f'{{"$graphLookup": {{"from": "{_plain(name)}", "startWith": "$…", '
        f'"connectFromField": "…", "connectToField": "{_key(group)}", "as": "…"}}}}'
    )


def _read(group: CommandGroup) -> Fix:
    name, field = collection_of(group), _key(group)
    match, text = _matching(group), group.shape.text
    if group.command == "count" or ".countDocuments(" in text:
        return Fix(
            f'{name}.aggregate([{{"$match": {match}}}, '
            f'{{"$group": {{"_id": "${field}", "count": {{"$sum": 1}}}}}}])'
        )
    if group.command == "distinct":
        distinct = text.partition("distinct(")[2].partition(",")[0]
        return Fix(
            f'{name}.aggregate([{{"$match": {match}}}, {{"$group": '
            f'{{"_id": "${field}", "values": {{"$addToSet": "${distinct}"}}}}}}])'
        )
    if group.command == "aggregate" and "$lookup" not in text:
        rest = '{"$group": {"_id": "$' + field + '", …}}' if "$group" in text else "…"
        return Fix(f'{name}.aggregate([{{"$match": {match}}}, {rest}])')
    if ".findOne(" in text and ".sort(" in text:
        return Fix(_grouped(group, '"first": {"$first": "$$ROOT"}'))
    if ".limit(" in text:
        return Fix(_grouped(group, '"first": {"$firstN": {"input": "$$ROOT", "n": …}}'))
    if ".findOne(" in text and text.endswith(", {_id: 1})") and field != "_id":
        return Fix(f'set({name}.distinct("{field}", {match})) before the loop')
    return _joined(group, f"{name}.find({match}) before the loop")


def _grouped(group: CommandGroup, kept: str) -> str:
    order = ' {"$sort": …},' if ".sort(" in group.shape.text else ""
    return (
        f'{collection_of(group)}.aggregate([{{"$match": {_matching(group)}}},{order} '
        f'{{"$group": {{"_id": "${_key(group)}", {kept}}}}}])'
    )


def _joined(group: CommandGroup, batch: str) -> Fix:
    """Offer the join too where the values are another collection's, read before."""
    source = group.source
    if source is None or source.group.command not in ("find", "aggregate"):
        return Fix(batch)
    name, other = _plain(collection_of(group)), collection_of(source.group)
    if group.shape.tables[0].partition(".")[0] != source.group.shape.tables[0].partition(".")[0]:
        return Fix(batch)
    return Fix(
        f'{batch}; or {other}.aggregate([…, {{"$lookup": {{"from": "{name}", "localField": '
        f'"{source.field}", "foreignField": "{_key(group)}", "as": "{name}"}}}}])',
        source.group.location,
    )


def _write(group: CommandGroup) -> str:
    name, text = collection_of(group), group.shape.text
    if group.command == "insert":
        return f"{name}.insert_many([…])"
    if group.shape.verb is Verb.DELETE:
        return f"{name}.delete_many({_matching(group)})"
    method = text.partition("(")[0].rpartition(".")[2]
    operation = _OPERATIONS.get(method, "UpdateOne")
    change = "…" if operation == "ReplaceOne" else _change(text)
    upsert = ", upsert=True" if "{upsert: true}" in text else ""
    one = f"{operation}({_filter(group.filter)}, {change}{upsert})"
    batch = f"{name}.bulk_write([{one}, …])"
    if upsert or operation == "ReplaceOne" or not group.varying:
        return batch
    return f"{batch}, or where the change is the same {name}.update_many({_matching(group)}, …)"


def _change(text: str) -> str:
    """Return an update's operators, `{"$set": …}`."""
    change = text.partition("}, {$")[2]
    operator = change.partition(":")[0]
    return f'{{"${operator}": …}}' if operator.isalpha() else "…"


def _key(group: CommandGroup) -> str:
    """Return the field whose value varies."""
    return shown_name(group.varying[0]) if group.varying else "…"


def _matching(group: CommandGroup) -> str:
    """Return the filter of one command for all."""
    if len(group.varying) > 1:
        return f'{{"$or": [{_filter(group.varying)}, …]}}'
    if not group.varying:
        return '{"…": {"$in": […]}}'
    parts = [
        f'"{shown_name(name)}": {_values(group.source) if name in group.varying else "…"}'
        for name in group.filter
    ]
    return f"{{{', '.join(parts)}}}"


def _values(source: Source | None) -> str:
    if source is None or not source.field.isidentifier():
        return '{"$in": […]}'
    name = _plain(collection_of(source.group))
    return f'{{"$in": [one["{source.field}"] for one in {name}]}}'


def _filter(names: Iterable[str]) -> str:
    return f"{{{', '.join(f'{chr(34)}{shown_name(name)}{chr(34)}: …' for name in names)}}}"


def _plain(collection: str) -> str:
    return collection.removeprefix("db.").removeprefix('db["').removesuffix('"]')
