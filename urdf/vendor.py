#!/usr/bin/env python3
"""Makes ur5e/ and panda/ from the wheels they come from. Run only to take a newer version; the results are checked in.

    pip download --no-deps airo-models==0.0.12 example-robot-data==6.0.0 -d WHEELS
    python3 urdf/vendor.py WHEELS

What is changed: attributes with an unbound XML prefix (drake:*) are dropped, inertials of zero mass are dropped, mesh paths
become relative to this folder, visuals use the small collision meshes, material libraries of the OBJ files are left out.
"""

import re
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
PANDA = "cmeel.prefix/share/example-robot-data/robots/panda_description/"
UR5E = "airo_models/arms/ur5e/"


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def banner(text: str, source: str) -> str:
    head, rest = text.split("\n", 1)
    return f"{head}\n<!-- From {source}; changes are listed in ../vendor.py. Licence: LICENSE beside this file. -->\n{rest}"


def ur5e(wheel: zipfile.ZipFile) -> None:
    text = wheel.read(UR5E + "ur5e.urdf").decode()
    text = re.sub(r' drake:\w+="[^"]*"', "", text)
    text = text.replace("visual/base_cable_labels.obj", "collision/base.obj").replace('"visual/', '"collision/')
    for name in sorted(set(re.findall(r'"collision/(\w+\.obj)"', text))):
        lines = wheel.read(UR5E + "collision/" + name).decode().splitlines()
        kept = [line for line in lines if not line.startswith(("mtllib", "usemtl"))]
        write(HERE / "ur5e/meshes/ur5e" / name, ("\n".join(kept) + "\n").encode())
    text = text.replace('"collision/', '"meshes/ur5e/')
    write(HERE / "ur5e/ur5e.urdf", banner(text, "airo-models 0.0.12 (MIT)").encode())
    write(HERE / "ur5e/LICENSE", wheel.read("airo_models-0.0.12.dist-info/licenses/LICENSE"))


def panda(wheel: zipfile.ZipFile) -> None:
    text = wheel.read(PANDA + "urdf/panda.urdf").decode()
    text = re.sub(r"<inertial>\s*<mass value=\"0\"/>.*?</inertial>", "", text, flags=re.S)
    text = text.replace("package://example-robot-data/robots/panda_description/meshes/", "meshes/")
    text = re.sub(r'"meshes/visual/(\w+)\.dae"', r'"meshes/collision/\1.stl"', text)
    for name in sorted(set(re.findall(r'"meshes/collision/(\w+\.stl)"', text))):
        write(HERE / "panda/meshes/panda" / name, wheel.read(PANDA + "meshes/collision/" + name))
    text = text.replace('"meshes/collision/', '"meshes/panda/')
    write(HERE / "panda/panda.urdf", banner(text, "example-robot-data 6.0.0, after franka_ros (Apache-2.0)").encode())
    write(HERE / "panda/LICENSE", wheel.read(PANDA + "LICENSE"))


def main() -> None:
    wheels = Path(sys.argv[1])
    ur5e(zipfile.ZipFile(next(wheels.glob("airo_models-0.0.12-*.whl"))))
    panda(zipfile.ZipFile(next(wheels.glob("example_robot_data-6.0.0-*.whl"))))


if __name__ == "__main__":
    main()
