"""The instructions of a pickle, protocols 0 to 5, by their codes."""

from collections.abc import Callable

from erc_kedro.corpora.pickles.bounds import CONTAINER, NUMBER, SET
from erc_kedro.corpora.pickles.machine import NUMBER_CHARACTERS, Machine, whole

INSTRUCTIONS: dict[int, Callable[[Machine], None]] = {
    ord(code): instruction
    for code, instruction in {
        "\x80": Machine.protocol,
        "\x95": lambda m: m.size("<Q"),
        "(": Machine.mark,
        "0": Machine.pop,
        "1": Machine.since_mark,
        "2": Machine.duplicate,
        # Numbers
        "N": lambda m: m.push(None),
        "\x88": lambda m: m.push(True),
        "\x89": lambda m: m.push(False),
        "I": Machine.integer,
        "L": Machine.integer,
        "J": lambda m: m.push(m.size("<i"), NUMBER),
        "K": lambda m: m.push(m.byte()),
        "M": lambda m: m.push(m.size("<H"), NUMBER),
        "\x8a": lambda m: m.long(m.byte()),
        "\x8b": lambda m: m.long(m.size("<i")),
        "F": Machine.decimal,
        "G": Machine.floats,
        # Text
        "S": Machine.string,
        "T": lambda m: m.push_text(m.take(m.size("<i")).decode("latin1")),
        "U": lambda m: m.push_text(m.take(m.byte()).decode("latin1")),
        "V": lambda m: m.push_text(m.line().decode("raw-unicode-escape")),
        "X": lambda m: m.push_text(m.take(m.size("<I")).decode("utf-8", "surrogatepass")),
        "\x8c": lambda m: m.push_text(m.take(m.byte()).decode("utf-8", "surrogatepass")),
        "\x8d": lambda m: m.push_text(m.take(m.size("<Q")).decode("utf-8", "surrogatepass")),
        "B": lambda m: m.push_text(m.take(m.size("<I"))),
        "C": lambda m: m.push_text(m.take(m.byte())),
        "\x8e": lambda m: m.push_text(m.take(m.size("<Q"))),
        "\x96": lambda m: m.push_text(m.take(m.size("<Q"))),
        # Containers
        "]": lambda m: m.push([], CONTAINER),
        "l": lambda m: m.push(m.since_mark(), CONTAINER),
        "a": Machine.append,
        "e": lambda m: m.extend(m.since_mark()),
        ")": lambda m: m.push(()),
        "t": Machine.push_tuple,
        "\x85": lambda m: m.push_tuple(1),
        "\x86": lambda m: m.push_tuple(2),
        "\x87": lambda m: m.push_tuple(3),
        "}": lambda m: m.push({}, CONTAINER),
        "d": lambda m: m.push(m.fill({}, m.since_mark()), CONTAINER),
        "s": Machine.set_item,
        "u": Machine.set_items,
        "\x8f": lambda m: m.push(set(), SET),
        "\x90": Machine.add,
        "\x91": lambda m: m.push(m.fill_set(set(), m.since_mark()), SET),
        # What was built before
        "p": lambda m: m.put(whole(m.line(NUMBER_CHARACTERS))),
        "q": lambda m: m.put(m.byte()),
        "r": lambda m: m.put(m.size("<I")),
        "\x94": lambda m: m.put(len(m.memo)),
        "g": lambda m: m.get(whole(m.line(NUMBER_CHARACTERS))),
        "h": lambda m: m.get(m.byte()),
        "j": lambda m: m.get(m.size("<I")),
        # Names and calls
        "c": Machine.name_of_lines,
        "\x93": Machine.name_of_stack,
        "R": Machine.call,
        "b": Machine.state,
        "i": Machine.instance,
        "P": Machine.outside,
        "Q": Machine.outside,
    }.items()
}
