"""Names by which a function comes to run where the text calls none.

A function's leading part that calls nothing is free (`placement`), which is exact as long as no operator leads back to
the function. So a program that mentions one of these, or gives a function such a place, is translated `strict`: each of
its functions is counted from its first statement.
"""

from sandbox import policy

# With these, a function runs when an attribute or an item is read or an operator applied, which no leading part may
# then do free; or what does so comes from a text that is translated by itself. Their mere mention counts: how many ways
# there are to use them nobody knows.
CALLS_BY_OPERATOR = frozenset({
    *("property", "abstractproperty", "getter", "setter", "deleter", "setattr", "cached_property", "partialmethod"),
    *("eval", "exec", "defaultdict", "DefaultDict", "default_factory", "cmp_to_key", "_missing_"),
    # The operators of these call methods that have common names: of what a ChainMap holds, of a class below the others;
    # and the names of days and months are what functions in a list say.
    *("ChainMap", "Flag", "IntFlag", "MutableSequence", "MutableSet", "TopologicalSorter", "UserDict", "UserList"),
    *("day_abbr", "day_name", "month_abbr", "month_name"),
})  # fmt: skip
# Methods that operators call on any object: `{**x}`, `|=` and `==` of mappings, sums of Counters, `in` and unpacking of
# files, differences of times, what sets, Fractions and flags do among themselves, `in` a Generator, items of an alias.
# Who binds such an attribute is counted.
CALLED_PLAINLY = frozenset({
    *("_from_iterable", "_get_value", "_getitem", "_iter_member_", "_iter_member_by_def_", "_iter_member_by_value_"),
    *("_keep_positive", "_richcmp", "copy_with", "fget", "fset", "from_float", "items", "keys", "peek", "read"),
    *("read1", "readline", "send", "utcoffset"),
})  # fmt: skip
# Of these, what makes something of the function that it decorates, which is counted for that.
DECORATING = frozenset("property abstractproperty getter setter deleter cached_property".split())
CALLED = policy.DEFINABLE - {"__doc__", "__match_args__", "__slots__"}


def may_be_called(name: str | None) -> bool:
    """Whether a function that becomes an attribute of this name, or has it for its own, runs without being called."""
    return name in policy.DEFINABLE or name in CALLS_BY_OPERATOR or name in CALLED_PLAINLY
