"""The tables that one SELECT, UPDATE or DELETE names, and whose column is whose."""

from collections.abc import Iterator

from sqlglot import exp

from optimizer.queries.engine.asked import Asked, Dialect
from optimizer.queries.engine.plans import Key


class Scope:
    """One SELECT, UPDATE or DELETE.

    `views` are the names of the statement's WITH. Where anything is unclear, `is_refused` is true.
    """

    def __init__(self, node: exp.Expr, dialect: Dialect, views: set[str]) -> None:
        self.node, self.dialect, self.views = node, dialect, views
        self.by_alias: dict[str, Asked] = {}
        self.others: set[str] = set()  # aliases of subqueries and the like
        self.is_refused = bool(node.args.get("laterals"))
        self.joins: list[tuple[exp.Join, str]] = list(self._sources())
        for one in self.by_alias.values():
            one.is_alone = len(self.by_alias) + len(self.others) == 1

    def key(self, node: exp.Expr | None) -> tuple[Asked, Key] | None:
        """Return the column that an expression is, with the table that has it."""
        node, function = bare(node), ""
        if isinstance(node, (exp.Upper, exp.Lower)) and self.dialect is Dialect.POSTGRESQL:
            function = "UPPER" if isinstance(node, exp.Upper) else "LOWER"
            node = bare(node.this)
        if isinstance(node, exp.Cast) and node.to.this == exp.DataType.Type.TEXT:
            if self.dialect is not Dialect.POSTGRESQL:
                return None
            function = function or "TEXT"  # the same for a column of text, and for no other
            node = bare(node.this)
        if not isinstance(node, exp.Column) or isinstance(node.this, exp.Star):
            return None
        owner = self._owner(node)
        return (owner, Key(self.fold(node), function=function)) if owner is not None else None

    def tables_in(self, *nodes: exp.Expr) -> set[str]:
        """Return the aliases of this scope whose columns expressions need."""
        found: set[str] = set()
        for column in (column for node in nodes for column in node.find_all(exp.Column)):
            qualifier = column.args.get("table")
            owner = self._owner(column)
            if owner is not None:
                found.add(owner.alias)
            elif qualifier is None:  # whose it is cannot be told
                found |= set(self.by_alias) | self.others
            elif self.fold(qualifier) in self.others:
                found.add(self.fold(qualifier))
        return found

    def fold(self, named: exp.Expr) -> str:
        """Return a name as the database takes it: SQLite's have no case."""
        if isinstance(named, (exp.TableAlias, exp.Table, exp.Column)):
            named = named.this
        if not isinstance(named, exp.Identifier):
            return named.alias_or_name.lower() if isinstance(named, exp.Expr) else ""
        text = str(named.this)
        is_exact = self.dialect is Dialect.POSTGRESQL and named.args.get("quoted")
        return text if is_exact else text.lower()

    def _sources(self) -> Iterator[tuple[exp.Join, str]]:
        node = self.node
        if isinstance(node, (exp.Update, exp.Delete)):
            if not isinstance(node.this, exp.Expr):  # of no table: no SQL
                self.is_refused = True
                return
            self._add(node.this)
            for one in node.args.get("using") or ():
                self._add(one)
        start = node.args.get("from_")
        if start is not None:
            self._add(start.this)
        for join in node.args.get("joins") or ():
            if join.side in ("RIGHT", "FULL") or join.args.get("method") or join.args.get("using"):
                self.is_refused = True
            yield join, self._add(join.this)

    def _add(self, source: exp.Expr) -> str:
        """Take a source of rows in; return its alias."""
        alias = self.fold(source.args.get("alias") or source)
        self.is_refused |= alias in self.by_alias or bool(source.args.get("joins"))
        is_table = isinstance(source, exp.Table) and isinstance(source.this, exp.Identifier)
        schema = source.args.get("db")
        if not is_table or (schema is None and self.fold(source).lower() in self.views):
            self.others.add(alias)  # what it reads is another scope's
        else:
            self.by_alias[alias] = Asked(
                self.fold(source), alias, self.fold(schema) if schema is not None else ""
            )
        return alias

    def _owner(self, column: exp.Column) -> Asked | None:
        qualifier = column.args.get("table")
        if qualifier is not None:
            return self.by_alias.get(self.fold(qualifier))
        within = column.find_ancestor(exp.Select, exp.Update, exp.Delete)
        if len(self.by_alias) == 1 and not self.others and within in (self.node, None):
            return next(iter(self.by_alias.values()))
        return None


def bare(node: exp.Expr | None) -> exp.Expr | None:
    """Return an expression without the parentheses around it."""
    while isinstance(node, exp.Paren):
        node = node.this
    return node
