#!/usr/bin/env python3
"""`cell kinematics` against Pinocchio and Coal, over the shipped robots and over robots made up at random.

    python3 tests/kinematics_oracle/compare.py target/debug/cell [MORE.urdf:FLANGE ...]

Needs `pin` 4.1.0. Pose and Jacobian of every link have to agree to 1e-12 (m, 1), gaps between capsules to 1e-9 m. The random
robots have what foreign URDFs have: axes of any length and direction, continuous and prismatic joints, fixed joints in
between, fingers that mimic each other beyond the flange, a floating part beside the arm, prefixes that nothing declares.
Prints what was compared; the exit code is 1 where something differs.
"""

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

import coal
import numpy as np
import pinocchio as pin

ROOT = Path(__file__).parents[2]
SHIPPED = [("urdf/ur5e/ur5e.urdf", "tool0"), ("urdf/panda/panda.urdf", "panda_link8")]
POSE_TOLERANCE, GAP_TOLERANCE = 1e-12, 1e-9
ROWS, RANDOM_ROBOTS, SEED = 500, 60, 20240607


def cell(program, arguments, configurations):
    rows = "\n".join(",".join(repr(float(v)) for v in row) for row in configurations)
    done = subprocess.run([program, "kinematics", *arguments], input=rows, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"cell kinematics {' '.join(map(str, arguments))} failed: {done.stderr}")
    return [line.split(",") for line in done.stdout.splitlines()]


class Robot:
    """A URDF as Pinocchio sees it, and the joints between its base and a flange."""

    def __init__(self, path, flange):
        self.path, self.flange = path, flange
        self.model = pin.buildModelFromUrdf(str(path))
        self.data = self.model.createData()
        if not self.model.existFrame(flange, pin.FrameType.BODY):
            sys.exit(f"{path} has no link '{flange}'")
        joint = self.model.frames[self.frame(flange)].parentJoint
        self.joints = []
        while joint:
            self.joints.insert(0, joint)
            joint = self.model.parents[joint]

    def configurations(self, rng, count):
        """Random ones, and every joint at its limits and at zero, where arms are singular."""
        model = self.model
        lower, upper = [], []
        for joint in self.joints:
            i = model.joints[joint].idx_q
            endless = model.joints[joint].nq == 2
            lower.append(-np.pi if endless else model.lowerPositionLimit[i])
            upper.append(np.pi if endless else model.upperPositionLimit[i])
        lower, upper = np.array(lower), np.array(upper)
        rows = rng.uniform(lower, upper, (count, len(lower)))
        kind = rng.integers(0, 10, rows.shape)
        rows = np.where(kind == 0, lower, np.where(kind == 1, upper, rows))
        return np.where(kind == 2, np.clip(0.0, lower, upper), rows)

    def set(self, row):
        q = pin.neutral(self.model)
        for joint, value in zip(self.joints, row):
            joint = self.model.joints[joint]
            q[joint.idx_q : joint.idx_q + joint.nq] = [np.cos(value), np.sin(value)] if joint.nq == 2 else [value]
        pin.computeJointJacobians(self.model, self.data, q)
        pin.updateFramePlacements(self.model, self.data)

    def frame(self, link):
        return self.model.getFrameId(link, pin.FrameType.BODY)

    def pose(self, link):
        return self.data.oMf[self.frame(link)]

    def jacobian(self, link):
        columns = [self.model.joints[joint].idx_v for joint in self.joints]
        return pin.getFrameJacobian(self.model, self.data, self.frame(link), pin.LOCAL_WORLD_ALIGNED)[:, columns]

    def capsules(self):
        """(link, coal's capsule, its pose in the link)."""
        found = []
        for element in ET.parse(self.path).getroot().iter("capsule"):
            a, b = (np.array([float(v) for v in element.get(end).split()]) for end in ("from", "to"))
            turn = pin.Quaternion.FromTwoVectors(np.array([0.0, 0.0, 1.0]), b - a).matrix()
            shape = coal.Capsule(float(element.get("radius")), float(np.linalg.norm(b - a)))
            found.append((element.get("link"), shape, pin.SE3(turn, (a + b) / 2)))
        return found

    def placed(self):
        return [(link, shape, self.pose(link) * place) for link, shape, place in self.capsules()]


def compare_motion(program, robot, rng, count):
    """Largest differences of poses, quaternions and Jacobians, and the number of links."""
    arguments = ["--urdf", str(robot.path), "--flange", robot.flange]
    rows = robot.configurations(rng, count)
    matrices = cell(program, ["fk", *arguments, "--rotation", "matrix"], rows)[1:]
    quaternions = cell(program, ["fk", *arguments], rows)[1:]
    jacobians = cell(program, ["jacobian", *arguments], rows)[1:]
    links = len(matrices) // count
    worst = np.zeros(3)
    for i, row in enumerate(rows):
        robot.set(row)
        for with_matrix, with_quaternion in zip(matrices[i * links : (i + 1) * links], quaternions[i * links : (i + 1) * links]):
            pose = robot.pose(with_matrix[1])
            expected = np.concatenate([pose.translation, pose.rotation.flatten()])
            worst[0] = max(worst[0], np.abs(np.array(with_matrix[2:], float) - expected).max())
            turn = pin.Quaternion(np.array(with_quaternion[5:], float)).matrix()
            worst[1] = max(worst[1], np.abs(turn - pose.rotation).max())
        ours = np.array(jacobians[i][1:], float).reshape(6, -1)
        worst[2] = max(worst[2], np.abs(ours - robot.jacobian(robot.flange)).max())
    return links, worst


def gap(one, other):
    result = coal.DistanceResult()
    shapes = [(shape, coal.Transform3s(pose.rotation, pose.translation)) for _, shape, pose in (one, other)]
    return coal.distance(*shapes[0], *shapes[1], coal.DistanceRequest(), result)


def compare_self_distance(program, robot, rng, count):
    """The pair that is named has the gap that is printed, and no pair that is ever named is nearer."""
    rows = robot.configurations(rng, count)
    answers = cell(program, ["distance", "--urdf", str(robot.path), "--flange", robot.flange], rows)[1:]
    named = {(one, other) for _, _, one, other in answers}
    worst = 0.0
    for row, (_, distance, one, other) in zip(rows, answers):
        robot.set(row)
        placed = robot.placed()
        gaps = {
            pair: min(gap(a, b) for a in placed for b in placed if (a[0], b[0]) == pair) for pair in named
        }
        nearest = min(gaps.values())
        worst = max(worst, abs(gaps[one, other] - float(distance)), abs(nearest - float(distance)))
    return len(named), worst


def compare_two_arms(program, first, second, rng, count):
    rows = np.hstack([first.configurations(rng, count), second.configurations(rng, count)])
    base = pin.SE3(pin.rpy.rpyToMatrix(0.1, -0.2, 2.9), np.array([0.9, 0.1, -0.05]))
    arguments = ["distance", "--urdf", str(first.path), "--flange", first.flange]
    arguments += ["--urdf2", str(second.path), "--flange2", second.flange, "--base2", "0.9,0.1,-0.05,0.1,-0.2,2.9"]
    worst = 0.0
    for row, (_, distance, _, _) in zip(rows, cell(program, arguments, rows)[1:]):
        first.set(row[: len(first.joints)])
        second.set(row[len(first.joints) :])
        others = [(link, shape, base * pose) for link, shape, pose in second.placed()]
        nearest = min(gap(a, b) for a in first.placed() for b in others)
        worst = max(worst, abs(nearest - float(distance)))
    return worst


def random_robot(rng):
    """URDF text and flange."""
    links, joints = ["base"], []

    def numbers(values):
        return " ".join(repr(float(v)) for v in values)

    def add(parent, kind, extra=""):
        name = f"link{len(links)}"
        axis = rng.choice([-1.0, 0.0, 1.0], 3) if rng.random() < 0.5 else rng.normal(size=3)
        if not axis.any():
            axis = np.array([0.0, 0.0, 1.0])
        axis = axis * rng.choice([1.0, 1.0, 2.5, 0.03])
        rpy = rng.choice([0.0, np.pi / 2, -np.pi / 2, np.pi], 3) if rng.random() < 0.5 else rng.uniform(-3, 3, 3)
        limits = sorted(rng.uniform(-3, 3, 2).tolist()) if kind == "revolute" else (-0.3, 0.4)
        # A zero axis means nothing on a fixed joint, and exporters write it.
        axis = np.zeros(3) if kind == "fixed" else axis
        joints.append(
            f'<joint name="j{len(links)}" type="{kind}"><parent link="{parent}"/><child link="{name}"/>'
            f'<origin xyz="{numbers(rng.uniform(-0.5, 0.5, 3))}" rpy="{numbers(rpy)}"/><axis xyz="{numbers(axis)}"/>'
            f'<limit lower="{limits[0]!r}" upper="{limits[1]!r}" velocity="1" effort="1" drake:acceleration="3"/>{extra}</joint>'
        )
        links.append(name)
        return name

    at = "base"
    for _ in range(rng.integers(1, 8)):
        at = add(at, rng.choice(["revolute", "revolute", "continuous", "prismatic"]))
        if rng.random() < 0.4:
            at = add(at, "fixed")
    flange = at
    hand = add(flange, "fixed")
    add(hand, "prismatic")
    add(hand, "prismatic", f'<mimic joint="j{len(links) - 1}" multiplier="-1" offset="0.1"/>')
    add("base", "floating")
    text = "".join(f'<link name="{name}"/>' for name in links) + "".join(joints)
    return f'<robot name="random">{text}</robot>', flange


def main():
    program, more = sys.argv[1], sys.argv[2:]
    rng = np.random.default_rng(SEED)
    differing = []

    def judge(what, worst, tolerance):
        print(f"{what}: largest difference {worst:.1e}")
        if not worst <= tolerance:
            differing.append(what)

    shipped = [Robot(ROOT / path, flange) for path, flange in SHIPPED]
    foreign = [Robot(*named.rsplit(":", 1)) for named in more]
    for robot in shipped + foreign:
        links, worst = compare_motion(program, robot, rng, ROWS)
        judge(f"{robot.path.name if robot in shipped else robot.path}: {links} links, {ROWS} configurations", worst.max(), POSE_TOLERANCE)
    worst = np.zeros(3)
    with tempfile.TemporaryDirectory() as folder:
        for i in range(RANDOM_ROBOTS):
            path = Path(folder) / f"robot{i}.urdf"
            text, flange = random_robot(rng)
            path.write_text(text)
            worst = np.maximum(worst, compare_motion(program, Robot(path, flange), rng, 40)[1])
    judge(f"{RANDOM_ROBOTS} random robots (seed {SEED})", worst.max(), POSE_TOLERANCE)
    for robot in shipped:
        pairs, worst = compare_self_distance(program, robot, rng, 200)
        judge(f"{robot.path.name}: distance to itself, {pairs} pairs of links were nearest", worst, GAP_TOLERANCE)
    judge("distance between the two", compare_two_arms(program, *shipped, rng, 200), GAP_TOLERANCE)
    if differing:
        sys.exit("differs: " + "; ".join(differing))


if __name__ == "__main__":
    main()
