"""An unpickler that makes scikit-learn's estimators and numpy's arrays, and asks before it calls anything.

numpy and the trees of scikit-learn trust what pickles say of memory: an array of objects "restored" from bytes has the
pointers of whoever wrote the file, and a node whose child is number 10^9 is read there. Either may end the process.
This is Python's unpickler in Python, because that in C calls functions and sets states without asking.
"""

import math
import pickle
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.random import MT19937, RandomState

_DTYPE = re.compile(r"O8|[VbiufcSUmM][0-9]+")
_NUMBERS = frozenset({"float32", "float64", "int32", "int64"})
_WORDS = 624
"""The number of words of a Mersenne Twister."""

_LEAF = -1
_BUILD: Callable[[Any], None] = pickle._Unpickler.dispatch[pickle.BUILD[0]]
_NEVER_WRITTEN = b"".join((pickle.INST, pickle.OBJ, pickle.NEWOBJ_EX, pickle.EXT1, pickle.EXT2, pickle.EXT4))
"""Other ways to call a class, and numbers of a registry that is not in the file."""


class Unpickler(pickle._Unpickler):
    """Loads what `modelkit.pickles` wrote.

    Raises:
        UnpicklingError: A class or function is not allowed, or its arguments or the state are not those of a model.
    """

    stack: list[Any]
    memo: dict[int, Any]

    def find_class(self, module: str, name: str) -> Any:
        """Return a class or function that a pickle refers to.

        Raises:
            UnpicklingError: It is not allowed in a model.
        """
        if (module, name) in _CALLS or (module == "numpy" and name in _NUMBERS):
            return super().find_class(module, name)
        if module.partition(".")[0] == "sklearn":
            found = super().find_class(module, name)
            if isinstance(found, type) and found.__module__ == module:
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a model")

    def _load_reduce(self) -> None:
        arguments = self.stack.pop()
        self.stack[-1] = _call(self.stack[-1], arguments)

    def _load_newobj(self) -> None:
        arguments = self.stack.pop()
        kind = self.stack[-1]
        _require(_is_of_sklearn(kind), f"{kind!r} is not made like that")
        self.stack[-1] = kind.__new__(kind, *arguments)

    def _load_build(self) -> None:
        state = self.stack[-1]
        made = self.stack[-2]
        if isinstance(made, np.dtype):
            self.stack.pop()
            self._replace(made, _dtype(made, state))
            return
        _require_state(made, state)
        _BUILD(self)

    def _replace(self, made: Any, other: Any) -> None:
        self.stack[-1] = other
        for key, value in self.memo.items():
            if value is made:
                self.memo[key] = other

    dispatch: ClassVar[dict[int, Any]] = {
        **{code: load for code, load in pickle._Unpickler.dispatch.items() if code not in _NEVER_WRITTEN},
        pickle.REDUCE[0]: _load_reduce,
        pickle.NEWOBJ[0]: _load_newobj,
        pickle.BUILD[0]: _load_build,
    }


def _require(condition: object, what: str) -> None:
    if not condition:
        raise pickle.UnpicklingError(what)


def _is_of_sklearn(kind: Any) -> bool:
    return isinstance(kind, type) and kind.__module__.partition(".")[0] == "sklearn"


def _call(function: Any, arguments: Any) -> Any:
    name = (getattr(function, "__module__", ""), getattr(function, "__name__", ""))
    known = _CALLS.get(name)
    if known is None:
        _require(_is_of_sklearn(function) or name[1] in _NUMBERS, f"{function!r} is not called in a model")
        if name == ("sklearn.tree._tree", "Tree"):
            _, classes, outputs = arguments
            _require(classes.dtype == np.intp and classes.shape == (outputs,), "the classes of a tree do not fit")
    else:
        known(*arguments)
    return function(*arguments)


def _check_dtype(text: Any, align: Any = False, copy: Any = True) -> None:
    _require(isinstance(text, str) and _DTYPE.fullmatch(text), f"{text!r} is not the type of an array")


def _check_buffer(content: Any, dtype: Any, shape: Any, order: Any = "C") -> None:
    _require(_is_plain(dtype) and math.prod(shape) * dtype.itemsize == len(content), "an array has another size")


def _check_empty(kind: Any, shape: Any, code: Any) -> None:
    _require(kind is np.ndarray and shape == (0,) and code == b"b", "an array is not made like that")


def _check_scalar(dtype: Any, content: Any) -> None:
    _require(_is_plain(dtype) and isinstance(content, bytes) and len(content) == dtype.itemsize, "no such number")


def _check_generator(*arguments: Any) -> None:
    known = (
        each is MT19937 or isinstance(each, MT19937 | str) or getattr(each, "__name__", "") == "__bit_generator_ctor"
        for each in arguments
    )
    _require(all(known), "a random generator is not made like that")


def _refuse(*_: Any) -> None:
    raise pickle.UnpicklingError("an array is not made like that")


_CALLS: Mapping[tuple[str, str], Callable[..., None]] = {
    ("builtins", "slice"): lambda *_: None,
    ("numpy", "dtype"): _check_dtype,
    ("numpy", "ndarray"): _refuse,  # only ever an argument of `_reconstruct`
    ("numpy._core.multiarray", "_reconstruct"): _check_empty,
    ("numpy._core.multiarray", "scalar"): _check_scalar,
    ("numpy._core.numeric", "_frombuffer"): _check_buffer,
    ("numpy.random._pickle", "__bit_generator_ctor"): _check_generator,
    ("numpy.random._pickle", "__randomstate_ctor"): _check_generator,
    ("numpy.random._mt19937", "MT19937"): _refuse,
}
"""The functions that pickled arrays, numbers, column selections and random generators call, with their checks."""


def _is_plain(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype) and not dtype.hasobject


def _dtype(made: Any, state: Any) -> Any:
    """Return the type of an array that a state describes, made anew: numpy believes the flags in a state."""
    version, order, _, names, fields, size, *_ = state
    _require(version in (3, 4) and order in ("<", ">", "|", "="), f"{state!r:.80} is not the type of an array")
    if names is None:
        _require(made.kind != "V", "an array of unknown values")
        return made if order in ("|", "=") or made.hasobject else made.newbyteorder(order)
    parts = [fields[name] for name in names]
    _require(all(_is_plain(kind) and kind.names is None for kind, *_ in parts), "fields that are no numbers")
    facts = {"names": list(names), "formats": [kind for kind, *_ in parts], "offsets": [offset for _, offset in parts]}
    made_of: Any = {**facts, "itemsize": size}
    return np.dtype(made_of)


def _require_state(made: Any, state: Any) -> None:
    """Refuse a state that would have numpy or a tree read what is not there."""
    kind = type(made)
    if isinstance(made, np.ndarray):
        _, shape, dtype, _, content = state
        count = math.prod(shape)
        if dtype == np.dtype("O"):
            fits = isinstance(content, list) and len(content) == count
        else:
            fits = _is_plain(dtype) and isinstance(content, bytes) and len(content) == count * dtype.itemsize
        _require(fits, "an array has another size")
    elif isinstance(made, MT19937 | RandomState):
        _require(all(0 <= number <= _WORDS for number in _positions(state)), "a random generator beyond its end")
    else:
        _require(_is_of_sklearn(kind), f"a {kind.__name__} has no state")
        if (kind.__module__, kind.__name__) == ("sklearn.tree._tree", "Tree"):
            _require_tree(state["nodes"], state["node_count"], made.n_features)
        elif isinstance(state, dict):
            _require_predictor(state)
            needed = max((_features(each) for name in _ENSEMBLES for each in _leaves(state.get(name))), default=0)
            _require(needed <= state.get("n_features_in_", 0), "a tree has more features than its model")


_ENSEMBLES = ("tree_", "estimators_", "_predictors")


def _positions(state: Any) -> Iterator[int]:
    """Yield the positions in the states of random generators."""
    if isinstance(state, dict):
        yield from (int(value) for key, value in state.items() if key == "pos")
    for nested in state.values() if isinstance(state, dict) else state if isinstance(state, tuple | list) else ():
        yield from _positions(nested)


def _require_tree(nodes: Any, count: int, features: int) -> None:
    """Refuse nodes of `sklearn.tree` whose children do not come after them, or whose features there are not."""
    _require(len(nodes) == count, "a tree has another number of nodes")
    inner = np.flatnonzero(nodes["left_child"] != _LEAF)
    for side in ("left_child", "right_child"):
        _require_children(nodes[side], inner, count)
    _require(_within(nodes["feature"][inner], features), "a node asks for another feature")


def _require_predictor(state: Mapping[str, Any]) -> None:
    """Refuse the same in the trees of gradient boosting on histograms."""
    nodes = state.get("nodes")
    if not isinstance(nodes, np.ndarray) or nodes.dtype.names is None:
        return
    inner = np.flatnonzero(nodes["is_leaf"] == 0)
    for side in ("left", "right"):
        _require_children(nodes[side], inner, len(nodes))
    sets = nodes["bitset_idx"][inner][nodes["is_categorical"][inner] != 0]
    for name in ("raw_left_cat_bitsets", "binned_left_cat_bitsets"):
        _require(_within(sets, len(state[name])), "a node asks for another category")


def _require_children(children: Any, inner: Any, count: int) -> None:
    following = children[inner].astype(np.int64)
    _require(_within(following, count) and (following > inner).all(), "a node has a child that does not come after it")


def _within(values: Any, end: int) -> bool:
    numbers = values.astype(np.int64)
    return bool(((numbers >= 0) & (numbers < end)).all())


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.dtype == np.dtype("O")):
        for each in value.ravel() if isinstance(value, np.ndarray) else value:
            yield from _leaves(each)
    elif value is not None:
        yield value


def _features(part: Any) -> int:
    """Return how many features a tree reads; 0 for other estimators, which check what they get."""
    nodes = getattr(part, "nodes", None)
    if isinstance(nodes, np.ndarray) and nodes.dtype.names:
        return int(nodes["feature_idx"][nodes["is_leaf"] == 0].max(initial=-1)) + 1
    return int(getattr(getattr(part, "tree_", part), "n_features", 0))
