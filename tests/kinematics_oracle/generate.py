#!/usr/bin/env python3
"""Forward kinematics and Jacobians of the shipped robots by Pinocchio, as test vectors for swarm_kinematics.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install pin==4.1.0 && /tmp/oracle/bin/python tests/kinematics_oracle/generate.py

Writes ur5e.csv and panda.csv beside this file. A row is: q (rad), tool position in the base frame (m), tool rotation matrix
(row by row), Jacobian at the tool's origin along the base's axes (row by row; linear above angular). 200 positions per robot:
zero, every joint alone at each limit, all at one limit, singular postures (straight elbow, aligned wrist), the rest random.
"""

from pathlib import Path

import numpy as np
import pinocchio as pin

HERE = Path(__file__).parent
ROBOTS = {  # URDF, flange, tool position in the flange frame
    "ur5e": ("ur5e/ur5e.urdf", "tool0", [0.0, 0.0, 0.145]),
    "panda": ("panda/panda.urdf", "panda_link8", [0.0, 0.0, 0.1034]),
}
ROWS = 200


def positions(lower, upper, rng):
    dof = len(lower)
    middle = np.clip(np.zeros(dof), lower, upper)
    rows = [middle, lower.copy(), upper.copy()]
    for joint in range(dof):
        for limit in (lower, upper):
            q = rng.uniform(lower, upper)
            q[joint] = limit[joint]
            rows.append(q)
    for joint in range(dof):  # one joint at zero: straight elbow, aligned wrist axes, shoulder above the base
        for _ in range(3):
            q = rng.uniform(lower, upper)
            q[joint] = middle[joint]
            rows.append(q)
    while len(rows) < ROWS:
        rows.append(rng.uniform(lower, upper))
    return rows[:ROWS]


def main():
    for name, (urdf, flange, tool) in ROBOTS.items():
        model = pin.buildModelFromUrdf(str(HERE.parents[1] / "urdf" / urdf))
        parent = model.frames[model.getFrameId(flange)]
        placement = parent.placement * pin.SE3(np.eye(3), np.array(tool))
        frame = model.addFrame(pin.Frame("tool", parent.parentJoint, placement, pin.FrameType.OP_FRAME))
        data = model.createData()
        dof = int(model.joints[parent.parentJoint].idx_q) + 1  # fingers beyond the flange stay at zero
        rng = np.random.default_rng(20240607)
        with open(HERE / f"{name}.csv", "w") as out:
            for row in positions(model.lowerPositionLimit[:dof], model.upperPositionLimit[:dof], rng):
                q = np.zeros(model.nq)
                q[:dof] = row
                pin.forwardKinematics(model, data, q)
                pin.updateFramePlacements(model, data)
                jacobian = pin.computeFrameJacobian(model, data, q, frame, pin.LOCAL_WORLD_ALIGNED)[:, :dof]
                pose = data.oMf[frame]
                values = np.concatenate([row, pose.translation, pose.rotation.flatten(), jacobian.flatten()])
                out.write(",".join(f"{v:.17g}" for v in values) + "\n")


if __name__ == "__main__":
    main()
