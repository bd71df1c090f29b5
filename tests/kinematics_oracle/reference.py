#!/usr/bin/env python3
"""Pinocchio through its Python binding behind a pipe; arguments and commands are those of reference.cpp, whose place it takes
where that cannot be compiled. The time is that of the faster of two ways to ask for pose and Jacobian with one call each, the
least that a Python program pays.
"""

import sys
import time

import numpy as np
import pinocchio as pin


def main():
    urdf, flange_name, names = sys.argv[1], sys.argv[2], sys.argv[3:]
    whole = pin.buildModelFromUrdf(urdf)
    locked = [joint for joint in range(1, whole.njoints) if whole.names[joint] not in names]
    model = pin.buildReducedModel(whole, locked, pin.neutral(whole))
    data = model.createData()
    flange = model.getFrameId(flange_name)
    joints = [model.joints[model.getJointId(name)] for name in names]
    columns = [joint.idx_v for joint in joints]
    configurations = []

    def from_joint_jacobians(q):
        pin.computeJointJacobians(model, data, q)
        return pin.updateFramePlacement(model, data, flange), pin.getFrameJacobian(model, data, flange, pin.LOCAL_WORLD_ALIGNED)

    def from_frame_jacobian(q):
        jacobian = pin.computeFrameJacobian(model, data, q, flange, pin.LOCAL_WORLD_ALIGNED)
        return pin.updateFramePlacement(model, data, flange), jacobian

    def nanoseconds(count, compute):
        start = time.perf_counter_ns()
        for i in range(count):
            compute(configurations[i % len(configurations)])
        return (time.perf_counter_ns() - start) / count

    for line in iter(sys.stdin.buffer.readline, b""):
        command, count = line.split()[0], int(line.split()[1])
        if command == b"eval":
            values = np.frombuffer(sys.stdin.buffer.read(8 * count * len(names))).reshape(count, len(names))
            configurations = []
            answers = np.empty((count, 12 + 6 * len(names)))
            for row, answer in zip(values, answers):
                q = pin.neutral(model)
                for joint, value in zip(joints, row):
                    # Continuous: cosine and sine.
                    q[joint.idx_q : joint.idx_q + joint.nq] = [np.cos(value), np.sin(value)] if joint.nq == 2 else [value]
                configurations.append(q)
                pose, jacobian = from_joint_jacobians(q)
                answer[:3], answer[3:12], answer[12:] = pose.translation, pose.rotation.flat, jacobian[:, columns].flat
            sys.stdout.buffer.write(answers.tobytes())
        else:
            fastest = min(nanoseconds(count, from_joint_jacobians), nanoseconds(count, from_frame_jacobian))
            sys.stdout.buffer.write(f"{fastest}\n".encode())
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
