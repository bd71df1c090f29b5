"""What each fault of `safety_check fault-list` does to the messages of the played cell. The names are that list's; tests/ros/test_faults.py
holds the two against each other."""

import copy
import math

from played_cell import HOME, TIMEOUT_S, TURN_S, nanoseconds

MILLISECOND = 1_000_000


class Fault:
    """One fault at work: `cell` with its victim `robot`, `turn` and `seconds` since it began."""

    def __init__(self, cell, robot: str, inject, act=None):
        self.cell, self.robot, self._inject, self._act = cell, robot, inject, act
        self.turn, self.begin_ns, self.past, self.delivered = 0, cell.now_ns(), [], 0
        # The last that was said before.
        self.before = cell.said

    @property
    def seconds(self) -> float:
        return (self.cell.now_ns() - self.begin_ns) * 1e-9

    def begin(self):
        self.cell.inject, self.cell.act = self.inject, self.act if self._act else None

    def inject(self, said):
        self.past.append((self.cell.now_ns(), copy.deepcopy(said)))
        self._inject(self, said)
        self.turn += 1

    def act(self, robot, does):
        return self._act(self, does) if robot == self.robot else does

    def delayed(self, of) -> list:
        """Messages that come now through a queue that grows, by half of the time that passes, beyond the time-out."""
        until = self.cell.now_ns() - nanoseconds(min(self.seconds / 2, TIMEOUT_S + 0.1))
        come = []
        while self.delivered < len(self.past) and self.past[self.delivered][0] <= until:
            come += of(self.past[self.delivered][1])
            self.delivered += 1
        return come


def joint(change):
    """Changes the victim's joint state in every turn."""
    return lambda fault, said: change(said.joints[fault.robot][0])


def wrench(change):
    return lambda fault, said: change(said.wrench[fault.robot][0])


def command(change):
    return lambda fault, said: change(said.command[fault.robot][0])


def put(name: str, index: int, value):
    """Sets one of the values."""
    return lambda message: getattr(message, name).__setitem__(index, value)


def later(by_ns: int):
    """Shifts the stamp."""
    return lambda message: setattr(message, "stamp", message.stamp + by_ns)


def once(inject):
    return lambda fault, said: inject(fault, said) if fault.turn == 0 else None


def nothing(fault, said):
    pass


def frozen_stamp(of):
    """The stamp stays that of the last message before."""
    return lambda fault, said: setattr(of(fault, said), "stamp", of(fault, fault.before).stamp)


def without_last_joint(state):
    for values in (state.names, state.position, state.velocity, state.effort):
        values.pop()


def swapped(fault, said):
    robots = list(said.joints)
    other = fault.cell.said.joints[robots[(robots.index(fault.robot) + 1) % 3]][0]
    state = said.joints[fault.robot][0]
    state.position, state.velocity, state.effort = list(other.position), list(other.velocity), list(other.effort)


def again(by_ns: int):
    def inject(fault, said):
        other = copy.deepcopy(said.joints[fault.robot][0])
        other.stamp += by_ns
        said.joints[fault.robot].append(other)

    return inject


def mute(*kinds):
    def inject(fault, said):
        for kind in kinds:
            getattr(said, kind)[fault.robot] = []

    return inject


def all_mute(_, said):
    said.joints, said.wrench = {}, {}


def late(kind):
    return lambda fault, said: getattr(said, kind).__setitem__(fault.robot, fault.delayed(lambda past: getattr(past, kind)[fault.robot]))


def burst(fault, said):
    if fault.seconds < TIMEOUT_S * 1.2:
        said.joints[fault.robot] = []
    else:
        said.joints[fault.robot] = fault.delayed(lambda past: past.joints[fault.robot])


def frozen(*names):
    def inject(fault, said):
        for name in names:
            setattr(said.joints[fault.robot][0], name, list(getattr(fault.before.joints[fault.robot][0], name)))

    return inject


def add(name: str, index: int, value):
    return lambda message: getattr(message, name).__setitem__(index, getattr(message, name)[index] + value)


def velocity_spike(fault, said):
    """Right behind the true one: how fast a velocity changed is judged by stamps."""
    other = copy.deepcopy(said.joints[fault.robot][0])
    other.velocity[1] += 1.0
    other.stamp += 2 * MILLISECOND
    said.joints[fault.robot].append(other)


def drift(fault, said):
    said.joints[fault.robot][0].position[3] += 0.1 * fault.seconds


def negative(name: str):
    return joint(lambda state: setattr(state, name, [-value for value in getattr(state, name)]))


def degrees(state):
    state.position, state.velocity = [math.degrees(q) for q in state.position], [math.degrees(v) for v in state.velocity]


def stand_in(fault, said):
    other = copy.deepcopy(said.joints[fault.robot][0])
    other.position, other.velocity = list(HOME[fault.robot]), [0.0] * len(other.velocity)
    other.stamp += nanoseconds(TURN_S / 4)
    said.joints[fault.robot].append(other)


def second_commander(fault, said):
    other = copy.deepcopy(said.command[fault.robot][0])
    other.trace = "other"
    said.command[fault.robot].append(other)


def press(*values):
    return lambda _, said: said.emergency_stop.extend(values)


def presence(change):
    return lambda _, said: change(said.presence[0])


def stands(_, does):
    return [0.0] * len(does)


def runs_away(fault, does):
    return [does[0], min(2.0 * fault.seconds, 0.6), *does[2:]]


def goes_on(_, does):
    return [does[0], 0.3, *does[2:]]


collision = wrench(add("force", 0, 150.0))

# name: what is said, and what the arm does.
INJECTORS = {
    "joint-position-nan": (joint(put("position", 2, math.nan)),),
    "joint-position-infinite": (joint(put("position", 2, math.inf)),),
    "joint-velocity-nan": (joint(put("velocity", 2, math.nan)),),
    "joint-effort-nan": (joint(put("effort", 2, math.nan)),),
    "joint-effort-missing": (joint(lambda state: state.effort.clear()),),
    "joint-effort-high": (joint(put("effort", 2, 160.0)),),
    "joint-wrong-size": (joint(lambda state: state.position.pop()),),
    "joint-no-velocities": (joint(lambda state: state.velocity.clear()),),
    "joint-missing-name": (joint(without_last_joint),),
    "joint-duplicate-name": (joint(lambda state: state.names.__setitem__(1, state.names[0])),),
    "joint-names-permuted": (joint(lambda state: state.names.append(state.names.pop(0))),),
    "gripper-as-arm": (joint(put("names", 4, "gripper_finger_joint")),),
    "robots-swapped": (swapped,),
    "joint-stamp-frozen": (frozen_stamp(lambda fault, said: said.joints[fault.robot][0]),),
    "joint-stamp-back": (joint(later(-nanoseconds(3 * TURN_S))),),
    "joint-stamp-future": (joint(later(20 * MILLISECOND)),),
    "sender-clock-forward": (joint(later(nanoseconds(1.0))),),
    "sender-clock-back": (joint(later(-nanoseconds(1.0))),),
    "joint-duplicate": (again(0),),
    "joint-overtaken": (again(-nanoseconds(TURN_S / 2)),),
    "joint-mute": (mute("joints"),),
    "joint-delayed": (late("joints"),),
    "burst-after-silence": (burst,),
    "values-frozen": (frozen("position", "velocity"),),
    "positions-frozen": (frozen("position"),),
    "joint-spike": (once(joint(add("position", 3, 0.05))),),
    "velocity-spike": (once(velocity_spike),),
    "position-drift": (drift,),
    "velocity-of-nothing": (joint(lambda state: setattr(state, "velocity", [0.0] * len(state.velocity))),),
    "velocity-sign": (negative("velocity"),),
    "position-sign": (negative("position"),),
    "degrees": (joint(degrees),),
    "joint-out-of-range": (joint(put("position", 3, 4.0)),),
    "joint-too-fast": (joint(put("velocity", 3, 3.2)),),
    "two-drivers-behind": (again(-nanoseconds(TURN_S / 2)),),
    "two-drivers": (lambda fault, said: stand_in(fault, said) if fault.turn % 2 == 0 else None,),
    "two-drivers-masked": (stand_in,),
    "wrench-nan": (wrench(put("force", 1, math.nan)),),
    "wrench-mute": (mute("wrench"),),
    "wrench-delayed": (late("wrench"),),
    "wrench-zero": (wrench(lambda load: setattr(load, "force", [0.0] * 3)),),
    "wrench-saturated": (wrench(put("force", 2, 500.0)),),
    "wrench-other-frame": (wrench(lambda load: setattr(load, "frame", "world")),),
    "wrench-stamp-frozen": (frozen_stamp(lambda fault, said: said.wrench[fault.robot][0]),),
    "wrench-stamp-future": (wrench(later(20 * MILLISECOND)),),
    "wrench-bias": (wrench(add("force", 0, 55.0)),),
    "payload-heavier": (wrench(add("force", 2, 98.0)),),
    "payload-half-known": (wrench(add("force", 2, 49.0)),),
    "collision": (collision,),
    "arm-mute": (mute("joints", "wrench"),),
    "all-mute": (all_mute,),
    "arm-stands": (nothing, stands),
    "arm-runs-away": (nothing, runs_away),
    "arm-other-way": (nothing, lambda _, does: [-velocity for velocity in does]),
    "stop-ignored": (once(collision), goes_on),
    "command-nan": (command(put("velocity", 1, math.nan)),),
    "command-size": (command(lambda wish: wish.velocity.pop()),),
    "command-other-robot": (command(lambda wish: setattr(wish, "robot", "somebody")),),
    "command-unknown-joint": (command(put("names", 2, "elbow")),),
    "command-degrees": (command(lambda wish: setattr(wish, "velocity", [math.degrees(v) for v in wish.velocity])),),
    "command-old-epoch": (command(lambda wish: setattr(wish, "epoch", wish.epoch - 1)),),
    "command-other-artifact": (command(lambda wish: setattr(wish, "artifact", "2c26b46b68ffc68f")),),
    "command-sequence-back": (command(lambda wish: setattr(wish, "sequence", wish.sequence - 5)),),
    "command-repeated": (lambda fault, said: setattr(said.command[fault.robot][0], "sequence", fault.before.command[fault.robot][0].sequence),),
    "command-mute": (mute("command"),),
    "command-delayed": (late("command"),),
    "command-queued": (command(later(-nanoseconds(TIMEOUT_S + 0.1))),),
    "command-future": (command(later(20 * MILLISECOND)),),
    "second-commander": (second_commander,),
    "estop-flapping": (press(True, False, True, False),),
    "estop-tap": (once(press(True, False)),),
    "reset-while-pressed": (press(True),),
    "reset-with-cause": (collision,),
    "reset-replayed": (nothing,),
    "reset-held-down": (nothing,),
    "reset-in-motion": (nothing,),
    "presence-mute": (lambda _, said: said.presence.clear(),),
    "presence-delayed": (lambda fault, said: setattr(said, "presence", fault.delayed(lambda past: past.presence)),),
    "presence-nan": (presence(lambda seen: setattr(seen, "range", math.nan)),),
    "presence-stamp-frozen": (frozen_stamp(lambda _, said: said.presence[0]),),
    "person-appears": (presence(lambda seen: setattr(seen, "range", 0.5)),),
}
