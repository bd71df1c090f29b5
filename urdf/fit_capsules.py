#!/usr/bin/env python3
"""Fits the capsules of a URDF: per link the smallest capsule around its collision geometry, written into the URDF.

    python3 urdf/fit_capsules.py urdf/ur5e/ur5e.urdf urdf/panda/panda.urdf urdf/gripper/parallel_gripper.urdf

Needs numpy and scipy. The result is the element <safety_capsules> at the end of the URDF; other readers skip it, as they skip
<transmission>. Conservative: every vertex lies inside (a capsule is convex, so the whole mesh does), the radius is rounded
up to 1 mm. Links that a prismatic joint carries (fingers) are covered over their whole travel, in the frame of their parent.
"""

import itertools
import math
import re
import struct
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
from scipy.optimize import minimize


def numbers(text):
    return np.array([float(x) for x in text.split()])


def origin(element):
    """Rotation (3x3) and translation of the element's <origin>; fixed-axis roll, pitch, yaw."""
    o = element.find("origin")
    if o is None:
        return np.eye(3), np.zeros(3)
    r, p, y = numbers(o.get("rpy", "0 0 0"))
    cr, sr, cp, sp, cy, sy = math.cos(r), math.sin(r), math.cos(p), math.sin(p), math.cos(y), math.sin(y)
    rotation = np.array([
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr],
    ])
    return rotation, numbers(o.get("xyz", "0 0 0"))


def mesh_vertices(path):
    if path.suffix == ".obj":
        return np.array([numbers(line[2:])[:3] for line in path.read_text().splitlines() if line.startswith("v ")])
    data = path.read_bytes()  # binary STL: 80 bytes, count, then 50 bytes per triangle
    count = struct.unpack("<I", data[80:84])[0]
    return np.array([struct.unpack("<9f", data[96 + 50 * i:132 + 50 * i]) for i in range(count)]).reshape(-1, 3)


def link_points(link, folder):
    points = []
    for collision in link.findall("collision"):
        rotation, translation = origin(collision)
        shape = collision.find("geometry")[0]
        if shape.tag == "mesh":
            local = mesh_vertices(folder / shape.get("filename"))
        elif shape.tag == "box":
            local = np.array(list(itertools.product(*[(-s / 2, s / 2) for s in numbers(shape.get("size"))])))
        elif shape.tag == "sphere":  # 7.5 degree grid: chords lie 0.2 % inside, less than the rounding up adds
            r = float(shape.get("radius"))
            t, u = np.meshgrid(np.linspace(0, math.pi, 25), np.linspace(0, 2 * math.pi, 48, endpoint=False))
            local = r * np.stack([np.sin(t) * np.cos(u), np.sin(t) * np.sin(u), np.cos(t)], -1).reshape(-1, 3)
        else:
            raise SystemExit(f"{link.get('name')}: collision shape {shape.tag} is not supported")
        points.append(local @ rotation.T + translation)
    return np.vstack(points) if points else np.zeros((0, 3))


def radius(points, a, b):
    d = b - a
    t = np.clip((points - a) @ d / max(d @ d, 1e-18), 0.0, 1.0)
    return np.linalg.norm(points - a - t[:, None] * d, axis=1).max()


def fit(points):
    """Endpoints and radius of a small capsule around the points: local search over its volume from several starts."""
    def volume(x):
        a, b = x[:3], x[3:]
        r = radius(points, a, b)
        return math.pi * r * r * np.linalg.norm(b - a) + 4 / 3 * math.pi * r**3

    centre = (points.min(0) + points.max(0)) / 2
    half = (points.max(0) - points.min(0)) / 2
    axes = list(np.linalg.svd(points - points.mean(0), full_matrices=False)[2]) + list(np.eye(3))
    best = None
    for axis in axes:
        for share in (0.3, 0.9):
            reach = share * float(np.abs(axis) @ half)
            start = np.concatenate([centre - axis * reach, centre + axis * reach])
            found = minimize(volume, start, method="Nelder-Mead", options={"maxiter": 6000, "xatol": 1e-6, "fatol": 1e-9})
            if best is None or found.fun < best.fun:
                best = found
    a, b = best.x[:3].round(4), best.x[3:].round(4)
    return a, b, math.ceil(radius(points, a, b) * 1000) / 1000


def capsules(root, folder):
    points = {link.get("name"): link_points(link, folder) for link in root.findall("link")}
    for joint in root.findall("joint"):
        if joint.get("type") != "prismatic":
            continue
        rotation, translation = origin(joint)
        axis, limit = numbers(joint.find("axis").get("xyz")), joint.find("limit")
        child, parent = joint.find("child").get("link"), joint.find("parent").get("link")
        moved = [points[child] + axis * float(limit.get(end)) for end in ("lower", "upper")]
        swept = np.vstack(moved) @ rotation.T + translation
        points[child] = np.zeros((0, 3))
        points.setdefault(parent + "/fingers", np.zeros((0, 3)))
        points[parent + "/fingers"] = np.vstack([points[parent + "/fingers"], swept])
    return [(name.split("/")[0], *fit(cloud)) for name, cloud in points.items() if len(cloud)]


def main():
    for path in map(Path, sys.argv[1:]):
        text = path.read_text()
        text = re.sub(r"  <safety_capsules>.*?</safety_capsules>\n", "", text, flags=re.S)
        lines = ["  <safety_capsules>"]
        for link, a, b, r in capsules(ET.fromstring(text), path.parent):
            ends = [" ".join(f"{v:.4f}" for v in end) for end in (a, b)]
            lines.append(f'    <capsule link="{link}" from="{ends[0]}" to="{ends[1]}" radius="{r:.3f}"/>')
            print(path.name, lines[-1].strip(), f"length {np.linalg.norm(b - a):.3f}")
        lines.append("  </safety_capsules>")
        path.write_text(text.replace("</robot>", "\n".join(lines) + "\n</robot>"))


if __name__ == "__main__":
    main()
