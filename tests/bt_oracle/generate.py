#!/usr/bin/env python3
"""Traces of BehaviorTree.CPP on random trees, as test vectors for packages/core/swarm_bt.

Needs `pip install behaviortreepy==0.1.4` (bundles BehaviorTree.CPP 4.8.2). The stored vectors were made with

    python3 tests/bt_oracle/generate.py --seed 20261121 --trees 240 --ticks 8 --out packages/core/swarm_bt_script/tests/vectors/random.json

`cargo xtask test` replays them, and a fresh batch with a seed that it prints; `cargo xtask evidence bt-oracle` replays
thousands. One more batch by hand:

    python3 tests/bt_oracle/generate.py --seed $RANDOM --trees 2000 --out /tmp/fresh.json
    SWARM_BT_VECTORS=/tmp/fresh.json cargo test -p swarm_bt_script --test oracle

Every tree stands below a ReactiveSequence whose first child, the condition C_mark, succeeds until the last tick and fails
in it. That FAILURE in the log says that everything before it has been written: the logger of BehaviorTree.CPP loses what is
in its queue when it ends, and no time is long enough to wait on a loaded machine.

What a vector holds: the XML; for each leaf id the answers it gives, in a cycle (R, S, F, K for SKIPPED); the steps
(T = tick exactly once, H = halt the tree); and what BehaviorTree.CPP did: the answer to each tick (E: it threw, and
the run ends), the leaf calls of each step (s = start, r = running, h = halt, with the node's uid), all transitions in order (uid and new
status, I for IDLE), and the main tree's blackboard at the end.

Deliberately not generated, because 4.8.2 differs from 4.10 or runs on the wall clock: operators of equal precedence
in a row without brackets, numeric literals as SubTree ports, fractions in a Switch, Timeout, Delay, Sleep, TryCatch, SkipUnlessUpdated and
WaitValueUpdate. Those are written by hand in packages/core/swarm_bt/tests.
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
    "SequenceWithMemory", "AsyncSequence", "AsyncFallback", "IfThenElse", "WhileDoElse", "Switch2", "Switch3",
]
DECORATORS = [
    "Inverter", "ForceSuccess", "ForceFailure", "KeepRunningUntilFailure", "Repeat", "RetryUntilSuccessful", "RunOnce",
    "Precondition",
]
MARK = "C_mark"
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
        if pick < 0.94:
            return "UnsetBlackboard", {"key": self.rng.choice(["u", "v"])}
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
                attributes["num_cycles"] = self.rng.choice(["1", "2", "3", "-1", "{k}" if "a" in names else "2"])
            if name == "RetryUntilSuccessful":
                attributes["num_attempts"] = self.rng.choice(["1", "2", "3", "-1", "{k}" if "a" in names else "2"])
            if name == "RunOnce" and self.rng.random() < 0.7:
                attributes["then_skip"] = self.rng.choice(["true", "false"])
            if name == "Precondition":
                attributes["if"] = self.truth(names)
                attributes["else"] = self.rng.choice(["FAILURE", "SUCCESS", "SKIPPED", "RUNNING"])
            children = [self.node(names, depth + 1, subtrees)]
        else:
            name = self.rng.choice(CONTROLS)
            count = self.rng.randint(1, 4)
            if name in ("IfThenElse", "WhileDoElse"):
                count = self.rng.choice([2, 3, 3])
            if name.startswith("Switch"):
                count = int(name[-1]) + 1
                # Whole numbers and text: 4.8.2 takes 2.5 for 2, because it ignores what follows the digits. And no entry that
                # SetBlackboard copies: the text that this port reads would become the type of the copy.
                attributes["variable"] = "{%s}" % self.rng.choice(["w", "s"] if "a" in names else ["w"])
                for case in range(1, count):
                    attributes[f"case_{case}"] = self.rng.choice(["0", "1", "2", "3", "p", "q", "pq"])
            children = [self.node(names, depth + 1, subtrees) for _ in range(count)]
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
            trees.append(f'<BehaviorTree ID="Sub{i}"><Sequence><Script code="z := 1; w := (x &gt; 1 ? 2 : 1)"/>{body}</Sequence></BehaviorTree>')
        start = "<Script code=\"a := 1; b := 2.5; c := 0; s := 'p'; a += 1; k := 2; w := (c &gt; 1 ? 2 : c)\"/>"
        body = self.node(numbers, 0, list(range(self.subtrees)))
        inner = f"<Sequence>{start}{body}</Sequence>"
        main = f'<BehaviorTree ID="T"><ReactiveSequence><{MARK}/>{inner}</ReactiveSequence></BehaviorTree>'
        return f'<root BTCPP_format="4" main_tree_to_execute="T">{main}{"".join(trees)}</root>'


def escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def read_log(path):
    """FileLogger2 format: magic, u8 protocol, i32 length, XML, i64 time, then records of 6 + 2 + 1 bytes."""
    with open(path, "rb") as file:
        data = file.read()
    at = len(b"BTCPP4-FileLogger2") + 1
    if len(data) < at + 4:
        return []
    (length,) = struct.unpack_from("<i", data, at)
    at += 4 + length + 8
    whole = range(at, len(data) - 8, 9)
    return [(int.from_bytes(data[i + 6 : i + 8], "little"), BY_NUMBER[data[i + 8]]) for i in whole]


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
        if step == "H":
            tree.halt_tree()
            done += step
            continue
        try:
            answers += LETTER[tree.tick_exactly_once()]
        except Exception:  # noqa: BLE001: the engine under test must fail at the same place
            answers += "E"
        done += step
        if answers.endswith("E"):
            break
    threw = answers.endswith("E")
    board = tree.root_blackboard()
    values = {}
    for key in ["a", "b", "c", "u", "v"]:
        try:
            values[key] = board.get_double(key)
        except Exception:  # noqa: BLE001: not there
            pass
    try:
        values["s"] = board.get_string("s")
    except Exception:  # noqa: BLE001: halted before the first tick
        pass
    if threw:
        # A tree that threw cannot be ticked again. What the log loses of its end is not missed: it is compared as a beginning.
        time.sleep(0.06)
        transitions = read_log(path)
    else:
        # The marking tick is no part of the vector.
        calls.append([])
        leaves[MARK] = "F"
        position[MARK] = 0
        try:
            tree.tick_exactly_once()
        except Exception:  # noqa: BLE001: the mark has failed by then
            pass
        leaves[MARK] = "S"
        calls.pop()
        transitions = wait_for_log(path)
    if transitions is None:
        print("the log never came", file=sys.stderr)
        return None
    del logger
    return {
        "xml": xml,
        "leaves": leaves,
        "steps": done,
        "answers": answers,
        "calls": [" ".join(c) for c in calls],
        "transitions": " ".join(f"{uid}{letter}" for uid, letter in transitions),
        "board": {} if threw else values,
    }


MARK_UID = 2


def wait_for_log(path):
    """All transitions before the marking tick, once they are in the file."""
    for _ in range(2000):
        transitions = read_log(path)
        failed = [at for at, entry in enumerate(transitions) if entry == (MARK_UID, "F")]
        if failed:
            # In that tick the wrapper became RUNNING before, unless it was already.
            end = failed[0]
            return transitions[: end - 1] if end and transitions[end - 1] == (1, "R") else transitions[:end]
        time.sleep(0.002)
    return None


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
            vector = run_apart(xml, generator.leaves | {MARK: "S"}, steps, directory)
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
