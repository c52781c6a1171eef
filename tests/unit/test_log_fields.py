"""The list of fields that may be logged is that of the fields that are: no more, and no less."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import dicomnode
from dicomnode.log import FIELDS

SOURCES = sorted(Path(dicomnode.__file__).parent.rglob("*.py"))


def logged_in(tree: ast.Module) -> set[str]:
    """Names of the fields that the log calls of a module give."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    extras = (
        keyword.value
        for call in calls
        if isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "log"
        for keyword in call.keywords
        if keyword.arg == "extra"
    )
    return {name for extra in extras for name in keys(extra, tree)}


def keys(node: ast.expr, tree: ast.Module) -> Iterator[str]:
    """The keys of a dictionary that an expression makes; fails where they cannot be read."""
    match node:
        case ast.Dict():
            for key in node.keys:
                assert isinstance(key, ast.Constant), ast.unparse(node)
                yield str(key.value)
        case ast.BinOp(left=one, op=ast.BitOr(), right=other) | ast.IfExp(body=one, orelse=other):
            yield from keys(one, tree)
            yield from keys(other, tree)
        case ast.Name(id=name):
            yield from named(name, tree)
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            yield from returned(name, tree)
        case _:
            pytest.fail(f"cannot tell the fields of {ast.unparse(node)}")


def named(name: str, tree: ast.Module) -> Iterator[str]:
    """What the variables of this name hold in a module."""
    found = [pair for node in ast.walk(tree) for pair in assigned(node)]
    values = [value for target, value in found if ast.unparse(target) == name]
    assert values, f"{name} comes from elsewhere"
    for value in values:
        yield from keys(value, tree)
    for target, _ in found:
        match target:
            case ast.Subscript(value=ast.Name(id=owner), slice=ast.Constant(value=key)):
                if owner == name:
                    yield str(key)


def assigned(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Each target of an assignment, with its value."""
    match node:
        case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
            yield from zip(targets, values, strict=True)
        case ast.Assign(targets=[target], value=value) | ast.AugAssign(target=target, value=value):
            yield target, value
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            yield target, value


def returned(name: str, tree: ast.Module) -> Iterator[str]:
    """What the functions of this name return."""
    functions = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == name
    ]
    assert functions, f"{name} comes from elsewhere"
    for function in functions:
        for node in ast.walk(function):
            if isinstance(node, ast.Return) and node.value is not None:
                yield from keys(node.value, tree)


def test_what_is_logged_is_on_the_list_and_what_is_on_the_list_is_logged() -> None:
    logged = {name for path in SOURCES for name in logged_in(ast.parse(path.read_text("utf-8")))}

    assert sorted(logged - FIELDS) == []
    assert sorted(FIELDS - logged) == []
