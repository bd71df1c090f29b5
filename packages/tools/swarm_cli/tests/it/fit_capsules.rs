//! `cell fit-capsules` as a user sees it: meshes found and read, capsules written, what is not covered refused.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

const URDF_FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../urdf");

/// A tetrahedron with corners at 0 and 0.1 along each axis.
const CORNERS: [[f32; 3]; 4] = [[0.0, 0.0, 0.0], [0.1, 0.0, 0.0], [0.0, 0.1, 0.0], [0.0, 0.0, 0.1]];
const FACES: [[usize; 3]; 4] = [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]];

struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// An arm of one joint whose second link has this mesh.
    fn robot(&self, mesh: &str) {
        let urdf = format!(
            r#"<robot name="r"><link name="base"/>
  <link name="arm"><collision><origin xyz="0 0 1"/><geometry><mesh {mesh}/></geometry></collision></link>
  <joint name="j" type="continuous"><parent link="base"/><child link="arm"/><axis xyz="0 0 1"/></joint>
</robot>
"#
        );
        fs::write(self.path("robot.urdf"), urdf).unwrap();
    }

    /// Exit code, standard output, standard error.
    fn fit(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cell"));
        command.current_dir(self.0.path()).args(["fit-capsules", "--urdf"]).args(arguments);
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

fn obj() -> String {
    let corners = CORNERS.iter().map(|[x, y, z]| format!("v {x} {y} {z}\n"));
    let faces = FACES.iter().map(|[a, b, c]| format!("f {} {} {}\n", a + 1, b + 1, c + 1));
    corners.chain(faces).collect()
}

fn ascii_stl() -> String {
    let facet = |face: &[usize; 3]| {
        let corners = face.map(|i| CORNERS[i]).map(|[x, y, z]| format!("vertex {x} {y} {z}\n")).concat();
        format!("facet normal 0 0 0\nouter loop\n{corners}endloop\nendfacet\n")
    };
    format!("solid tetrahedron\n{}endsolid tetrahedron\n", FACES.iter().map(facet).collect::<String>())
}

fn binary_stl() -> Vec<u8> {
    let mut bytes = vec![b' '; 80];
    bytes.extend(4_u32.to_le_bytes());
    for face in FACES {
        bytes.extend([0; 12]);
        bytes.extend(face.iter().flat_map(|&i| CORNERS[i]).flat_map(f32::to_le_bytes));
        bytes.extend([0; 2]);
    }
    bytes
}

#[test]
fn the_shipped_robots_are_covered() {
    let bench = Bench::new();
    for (urdf, vertices) in
        [("ur5e/ur5e.urdf", 6144), ("panda/panda.urdf", 900), ("gripper/parallel_gripper.urdf", 144)]
    {
        let (code, _, table) = bench.fit(&[&format!("{URDF_FOLDER}/{urdf}"), "--check"]);
        assert_eq!(code, 0, "{table}");
        assert!(table.contains(&format!("  {vertices}  ")) && !table.contains("not covered"), "{table}");
    }
}

#[test]
fn every_format_gives_the_same_capsule() {
    let bench = Bench::new();
    fs::write(bench.path("a.obj"), format!("mtllib none.mtl\nusemtl red\n{}", obj())).unwrap();
    fs::write(bench.path("b.stl"), ascii_stl()).unwrap();
    fs::write(bench.path("c.STL"), binary_stl()).unwrap();
    let fitted: Vec<String> = ["a.obj", "b.stl", "c.STL"]
        .map(|file| {
            bench.robot(&format!(r#"filename="{file}""#));
            let (code, out, table) = bench.fit(&["robot.urdf", "--capsules", "1"]);
            assert_eq!(code, 0, "{file}: {table}");
            assert!(table.contains("arm          1        12 "), "{table}");
            out
        })
        .to_vec();
    assert!(fitted[0].contains(r#"<capsule link="arm" from=""#), "{}", fitted[0]);
    assert!(fitted.iter().all(|one| *one == fitted[0]), "{fitted:?}");
}

#[test]
fn scale_and_package_folders_are_heeded() {
    let bench = Bench::new();
    fs::create_dir_all(bench.path("share/robots/meshes")).unwrap();
    fs::write(bench.path("share/robots/meshes/a.obj"), obj()).unwrap();
    let radius = |mesh: &str, more: &[&str]| {
        bench.robot(mesh);
        let (code, out, err) = bench.fit(&[&["robot.urdf", "--capsules", "1"], more].concat());
        assert_eq!(code, 0, "{err}");
        let text = out.split("radius=\"").nth(1).unwrap();
        text[..text.find('"').unwrap()].parse::<f64>().unwrap()
    };
    let plain = radius(r#"filename="share/robots/meshes/a.obj""#, &[]);
    let packaged = r#"filename="package://robots/meshes/a.obj""#;
    assert_eq!(radius(packaged, &["--packages", "share"]), plain);
    let double = radius(r#"filename="share/robots/meshes/a.obj" scale="2 2 2""#, &[]);
    assert!((double - 2.0 * plain).abs() < 0.001, "{plain} {double}");
    let (code, _, err) = bench.fit(&["robot.urdf", "--check"]);
    assert_eq!(
        (code, err.contains("not covered near")),
        (1, true),
        "a URDF without capsules is not covered: {err}"
    );
    bench.robot(packaged);
    let (code, _, err) = bench.fit(&["robot.urdf"]);
    assert_eq!(code, 2);
    assert!(err.contains("package://robots/meshes/a.obj") && err.contains("--packages"), "{err}");
}

#[test]
fn what_is_written_is_checked_and_read_again() {
    let bench = Bench::new();
    fs::write(bench.path("a.obj"), obj()).unwrap();
    bench.robot(r#"filename="a.obj""#);
    assert_eq!(bench.fit(&["robot.urdf", "--out", "robot.urdf"]).0, 0);
    assert_eq!(bench.fit(&["robot.urdf", "--check"]).0, 0);
    let text = fs::read_to_string(bench.path("robot.urdf")).unwrap();
    let shrunk = text.replace("radius=\"0.0", "radius=\"0.00");
    assert_ne!(text, shrunk);
    fs::write(bench.path("robot.urdf"), shrunk).unwrap();
    let (code, _, err) = bench.fit(&["robot.urdf", "--check"]);
    assert_eq!(code, 1);
    assert!(err.contains("not covered near"), "{err}");
}

#[test]
fn meshes_that_cannot_be_read_are_refused_by_name() {
    let bench = Bench::new();
    let cut = binary_stl();
    fs::write(bench.path("cut.stl"), &cut[..cut.len() - 30]).unwrap();
    fs::write(bench.path("far.obj"), "v 0 0 0\nv 0 0 1\nf 1 2 7\n").unwrap();
    fs::write(bench.path("nan.obj"), "v nan 0 0\nv 0 0 1\nv 0 1 0\nf 1 2 3\n").unwrap();
    fs::write(bench.path("points.obj"), "v 0 0 0\n").unwrap();
    fs::write(bench.path("a.dae"), "<COLLADA/>").unwrap();
    for (file, expected) in [
        ("cut.stl", "cannot read"),
        ("far.obj", ""),
        ("nan.obj", ""),
        ("points.obj", "it has no triangles"),
        ("a.dae", "is neither .stl nor .obj"),
        ("none.stl", "is no file"),
    ] {
        bench.robot(&format!(r#"filename="{file}""#));
        let (code, out, err) = bench.fit(&["robot.urdf"]);
        assert_eq!((code, out.as_str()), (2, ""), "{file}: {err}");
        let named = format!("collision mesh '{file}' of link 'arm'");
        assert!(err.contains(&named) && err.contains(expected), "{file}: {err}");
    }
}
