#!/usr/bin/env python3
"""How long BehaviorTree.CPP takes, asked line by line on standard input. For `cargo xtask evidence bt-speed`.

    load NAME FILE           makes the tree of the XML in FILE; answers with the time in ns
    tick NAME COUNT          ticks it so often; answers with the ns of all ticks together
    logged NAME COUNT FILE   the same with the FileLogger attached, which is made before and not waited for after

Times are CPU times: on a shared computer others take the wall clock's.

Only trees of built-in nodes are ticked, so that no Python runs inside of a tick; the call from Python into `tick_exactly_once`
is what remains, and is measured with a tree of one node.
"""

import gc
import os
import sys
import time

import behaviortreepy as bt


def main():
    gc.disable()
    trees = {}
    for line in sys.stdin:
        verb, name, *rest = line.split()
        if verb == "load":
            with open(rest[0]) as file:
                xml = file.read()
            factory = bt.BehaviorTreeFactory()
            begin = time.thread_time_ns()
            tree = factory.create_tree_from_text(xml)
            took = time.thread_time_ns() - begin
            trees[name] = (factory, tree)
        else:
            tree = trees[name][1]
            logger = bt.FileLogger(tree, rest[1]) if verb == "logged" else None
            tick = tree.tick_exactly_once
            count = range(int(rest[0]))
            # The logger writes from a thread of its own.
            clock = time.process_time_ns if logger else time.thread_time_ns
            begin = clock()
            for _ in count:
                tick()
            took = clock() - begin
            del logger
            if verb == "logged":
                os.remove(rest[1])
        print(took, flush=True)


if __name__ == "__main__":
    main()
