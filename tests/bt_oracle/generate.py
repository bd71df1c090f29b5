#!/usr/bin/env python3
"""Traces of BehaviorTree.CPP on random trees, as test vectors for packages/core/swarm_bt.

Needs `pip install behaviortreepy==0.1.4` (bundles BehaviorTree.CPP 4.8.2). The stored vectors were made with

    python3 tests/bt_oracle/generate.py --seed 20261121 --trees 150 --out packages/core/swarm_bt/tests/vectors/random.json

A fresh batch can be replayed against the engine without storing it:

    python3 tests/bt_oracle/generate.py --seed $RANDOM --trees 2000 --out /tmp/fresh.json
    SWARM_BT_VECTORS=/tmp/fresh.json cargo test -p swarm_bt --test oracle

What a vector holds: the XML; for each leaf id the answers it gives, in a cycle (R, S, F, K for SKIPPED); the steps
(T = tick exactly once, H = halt the tree); and what BehaviorTree.CPP did: the answer to each tick (E: it threw, and
the run ends), the leaf calls of each step (s = start, r = running, h = halt, with the node's uid), all transitions in order (uid and new
status, I for IDLE), and the main tree's blackboard at the end.

Deliberately not generated, because 4.8.2 differs from 4.10 or runs on the wall clock: operators of equal precedence
in a row without brackets, numeric literals as SubTree ports, Timeout, Delay, Sleep. Those are written by hand in
scripts.rs, blackboard.rs and decorators.rs of packages/core/swarm_bt/tests.
"""

import argparse
import json
import os
import random
import struct
import sys
import tempfile
import time

import behaviortreepy as bt

LETTER = {
    bt.NodeStatus.RUNNING: "R",
    bt.NodeStatus.SUCCESS: "S",
    bt.NodeStatus.FAILURE: "F",
    bt.NodeStatus.SKIPPED: "K",
    bt.NodeStatus.IDLE: "I",
}
STATUS = {letter: status for status, letter in LETTER.items()}
BY_NUMBER = {status.value: letter for status, letter in LETTER.items()}

CONTROLS = [
    "Sequence", "Fallback", "ReactiveSequence", "ReactiveFallback", "Parallel",
    "SequenceWithMemory", "AsyncSequence", "AsyncFallback",
]
DECORATORS = [
    "Inverter", "ForceSuccess", "ForceFailure", "KeepRunningUntilFailure", "Repeat", "RetryUntilSuccessful",
]
PRE = ["_failureIf", "_successIf", "_skipIf", "_while"]
POST = ["_onSuccess", "_onFailure", "_post", "_onHalted"]


class Generator:
    """One random tree: its XML and the answers of its leaves."""

    def __init__(self, rng):
        self.rng = rng
        self.leaves = {}
        self.subtrees = rng.choice([0, 0, 1, 2])
        self.budget = rng.randint(8, 22)

    # -- scripts: fully bracketed, over variables that exist ------------------------------------------------------

    def number(self, names, depth=0):
        pick = self.rng.random()
        if depth > 2 or pick < 0.4:
            return self.rng.choice(names) if self.rng.random() < 0.6 else str(self.rng.randint(0, 4))
        if pick < 0.75:
            op = self.rng.choice(["+", "-", "*", "+", "&", "|", "^"])
            return f"({self.number(names, depth + 1)} {op} {self.number(names, depth + 1)})"
        if pick < 0.82:
            return f"(-{self.number(names, depth + 1)})"
        if pick < 0.86:
            return f"({self.number(names, depth + 1)} / {self.rng.choice([2, 4])})"
        return f"({self.truth(names, depth + 1)} ? {self.number(names, depth + 1)} : {self.number(names, depth + 1)})"

    def truth(self, names, depth=0):
        pick = self.rng.random()
        if depth < 2 and pick < 0.2:
            op = self.rng.choice(["&&", "||"])
            return f"({self.truth(names, depth + 1)} {op} {self.truth(names, depth + 1)})"
        if depth == 0 and pick > 0.97:
            return self.number(names)
        if depth < 2 and pick < 0.3:
            return f"(!{self.truth(names, depth + 1)})"
        if pick < 0.36:
            return self.rng.choice(["true", "false"])
        if pick < 0.42:
            return f"(s {self.rng.choice(['==', '!=', '<'])} '{self.rng.choice(['p', 'q', 'pq'])}')" if "a" in names else "true"
        op = self.rng.choice(["<", ">", "<=", ">=", "==", "!="])
        return f"({self.number(names, depth + 1)} {op} {self.number(names, depth + 1)})"

    def assign(self, names):
        name = self.rng.choice(names)
        pick = self.rng.random()
        if pick < 0.3:
            return f"{name} += 1"
        if pick < 0.36:
            return f"{name} {self.rng.choice(['-=', '*='])} 2"
        if pick < 0.44 and "a" in names:
            return self.rng.choice(["s = (s + 'q')", "s = 'p'", "s = 'q'", "s += 'p'", f"s = (s .. {name})"])
        return f"{name} {self.rng.choice([':=', '='])} {self.number(names)}"

    # -- nodes ----------------------------------------------------------------------------------------------------

    def leaf(self, names):
        pick = self.rng.random()
        if pick < 0.55:
            kind = "C" if self.rng.random() < 0.3 else "A"
            name = f"{kind}{len(self.leaves)}"
            letters = "SF" if kind == "C" else "RRSSFF"
            answers = "".join(self.rng.choice(letters) for _ in range(self.rng.randint(1, 5)))
            if self.rng.random() < 0.08:
                answers += "K"
            self.leaves[name] = answers
            return name, {}
        if pick < 0.65:
            return self.rng.choice(["AlwaysSuccess", "AlwaysFailure"]), {}
        if pick < 0.8:
            return "Script", {"code": "; ".join(self.assign(names) for _ in range(self.rng.randint(1, 2)))}
        if pick < 0.92:
            return "ScriptCondition", {"code": self.truth(names)}
        return "SetBlackboard", {"value": "{%s}" % self.rng.choice(names), "output_key": self.rng.choice(["u", "v"])}

    def node(self, names, depth, subtrees):
        self.budget -= 1
        children = []
        attributes = {}
        pick = self.rng.random()
        if depth >= 5 or self.budget <= 0 or pick < 0.3 and depth > 1:
            name, attributes = self.leaf(names)
        elif subtrees and pick < 0.42:
            number = self.rng.choice(subtrees)
            name = "SubTree"
            attributes = {"ID": f"Sub{number}", "x": "{%s}" % self.rng.choice(names)}
            if self.rng.random() < 0.4:
                attributes["_autoremap"] = "true"
            attributes["y"] = self.rng.choice(["{%s}" % self.rng.choice(names), "{%s}" % self.rng.choice(names), "text"])
        elif pick < 0.58:
            name = self.rng.choice(DECORATORS)
            if name == "Repeat":
                attributes["num_cycles"] = str(self.rng.choice([1, 2, 3, -1]))
            if name == "RetryUntilSuccessful":
                attributes["num_attempts"] = str(self.rng.choice([1, 2, 3, -1]))
            children = [self.node(names, depth + 1, subtrees)]
        else:
            name = self.rng.choice(CONTROLS)
            children = [self.node(names, depth + 1, subtrees) for _ in range(self.rng.randint(1, 4))]
            if name == "Parallel":
                n = len(children)
                attributes["success_count"] = str(self.rng.choice([-1, -1, n, 1, max(1, n - 1), -2]))
                attributes["failure_count"] = str(self.rng.choice([1, 1, n, -1]))
        if self.rng.random() < 0.16:
            attributes[self.rng.choice(PRE)] = self.truth(names)
        if self.rng.random() < 0.12:
            attributes[self.rng.choice(POST)] = self.assign(names)
        text = "".join(f' {key}="{escape(value)}"' for key, value in attributes.items())
        inner = "".join(children)
        return f"<{name}{text}>{inner}</{name}>" if inner else f"<{name}{text}/>"

    def xml(self):
        numbers = ["a", "b", "c"]
        trees = []
        for i in range(self.subtrees):
            body = self.node(["x", "z"], 3, [j for j in range(i)])
            trees.append(f'<BehaviorTree ID="Sub{i}"><Sequence><Script code="z := 1"/>{body}</Sequence></BehaviorTree>')
        start = "<Script code=\"a := 1; b := 2.5; c := 0; s := 'p'; a += 1\"/>"
        body = self.node(numbers, 0, list(range(self.subtrees)))
        main = f'<BehaviorTree ID="T"><Sequence>{start}{body}</Sequence></BehaviorTree>'
        return f'<root BTCPP_format="4" main_tree_to_execute="T">{main}{"".join(trees)}</root>'


def escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def read_log(path):
    """FileLogger2 format: magic, u8 protocol, i32 length, XML, i64 time, then records of 6 + 2 + 1 bytes."""
    data = open(path, "rb").read()
    at = len(b"BTCPP4-FileLogger2") + 1
    (length,) = struct.unpack_from("<i", data, at)
    at += 4 + length + 8
    assert (len(data) - at) % 9 == 0, "truncated log"
    return [(int.from_bytes(data[i + 6 : i + 8], "little"), BY_NUMBER[data[i + 8]]) for i in range(at, len(data), 9)]


def run(xml, leaves, steps, directory):
    """What BehaviorTree.CPP does, or None if it does not load the tree."""
    factory = bt.BehaviorTreeFactory()
    position = dict.fromkeys(leaves, 0)
    calls = []

    def answer(name, kind):
        def callback(node):
            calls[-1].append(f"{kind}{node.uid()}")
            letters = leaves[name]
            letter = letters[position[name] % len(letters)]
            position[name] += 1
            return STATUS[letter]
        return callback

    def halted(node):
        calls[-1].append(f"h{node.uid()}")

    for name in leaves:
        if name.startswith("C"):
            factory.register_simple_condition(name, answer(name, "s"))
        else:
            factory.register_simple_stateful_action(name, answer(name, "s"), answer(name, "r"), halted)
    try:
        factory.register_behavior_tree_from_text(xml)
        tree = factory.create_tree("T")
    except Exception as error:  # noqa: BLE001: whatever it is, the tree is no use
        print(f"not loaded: {error}\n{xml}", file=sys.stderr)
        return None
    path = os.path.join(directory, "trace.btlog")
    logger = bt.FileLogger(tree, path)
    done = ""
    answers = ""
    for step in steps:
        calls.append([])
        done += step
        if step == "H":
            tree.halt_tree()
            continue
        try:
            answers += LETTER[tree.tick_exactly_once()]
        except Exception:  # noqa: BLE001: the engine under test must fail at the same place
            answers += "E"
            break
    time.sleep(0.03)  # the writer loses what is still in its queue when it is destroyed
    del logger
    board = tree.root_blackboard()
    values = {}
    for key in ["a", "b", "c", "u", "v"]:
        try:
            values[key] = board.get_double(key)
        except Exception:  # noqa: BLE001: not there
            pass
    values["s"] = board.get_string("s")
    transitions = read_log(path)
    return {
        "xml": xml,
        "leaves": leaves,
        "steps": done,
        "answers": answers,
        "calls": [" ".join(c) for c in calls],
        "transitions": " ".join(f"{uid}{letter}" for uid, letter in transitions),
        "board": values,
    }


def run_apart(*args):
    """`run` in a process of its own, left without destructors: `~Tree` halts, and a script that throws there aborts."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        result = json.dumps(run(*args)).encode()
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(result)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        result = pipe.read()
    os.waitpid(child, 0)
    return json.loads(result) if result else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--trees", type=int, default=150)
    parser.add_argument("--ticks", type=int, default=8)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    vectors = []
    with tempfile.TemporaryDirectory() as directory:
        while len(vectors) < args.trees:
            generator = Generator(rng)
            xml = generator.xml()
            # haltTree() of BehaviorTree.CPP runs the _onHalted script of every node, running or not; ours does not.
            may_halt = "_onHalted" not in xml and rng.random() < 0.3
            steps = "".join("H" if may_halt and rng.random() < 0.15 else "T" for _ in range(args.ticks))
            vector = run_apart(xml, generator.leaves, steps, directory)
            if vector is not None and len(vector["transitions"].split()) > 25:
                vectors.append(vector)
    lines = ",\n".join(json.dumps(v, separators=(",", ":")) for v in vectors)
    with open(args.out, "w") as out:
        out.write('{"oracle":"BehaviorTree.CPP 4.8.2 (behaviortreepy 0.1.4)","seed":%d,"vectors":[\n%s\n]}\n' % (args.seed, lines))
    ticks = sum(v["steps"].count("T") for v in vectors)
    transitions = sum(len(v["transitions"].split()) for v in vectors)
    threw = sum("E" in v["answers"] for v in vectors)
    print(f"{len(vectors)} trees, {ticks} ticks, {transitions} transitions, {threw} runs ended by an exception")


if __name__ == "__main__":
    main()
