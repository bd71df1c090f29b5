//! Collision meshes: finding the files that a URDF names, and reading their triangles.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use nalgebra::Point3;
use swarm_kinematics::fit::Triangle;

/// Where meshes are looked for.
#[derive(Debug)]
pub(crate) struct Meshes<'a> {
    /// Folder of the URDF.
    pub(crate) folder: &'a Path,
    /// Folders that hold packages by their names.
    pub(crate) package_folders: &'a [PathBuf],
}

impl Meshes<'_> {
    /// Triangles of the file that a URDF names.
    pub(crate) fn read(&self, name: &str) -> Result<Vec<Triangle>, String> {
        let path = self.find(name)?;
        let extension = path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
        let bytes = fs::read(&path).map_err(|error| format!("cannot read '{}': {error}", path.display()))?;
        let scene = match extension.as_deref() {
            Some("stl") => mesh_loader::stl::from_slice(&bytes),
            // Materials are of no use here, and their files often missing.
            Some("obj") => mesh_loader::obj::from_slice(&bytes, None, |_| Ok(Vec::new())),
            _ => {
                return Err(format!(
                    "'{}' is neither .stl nor .obj; convert it (COLLADA has its own axes and scale, which readers take differently)",
                    path.display()
                ));
            }
        };
        let scene = scene.map_err(|error| format!("cannot read '{}': {error}", path.display()))?;
        let corner = |[x, y, z]: [f32; 3]| Point3::new(f64::from(x), f64::from(y), f64::from(z));
        let mut triangles = Vec::new();
        for mesh in &scene.meshes {
            for face in &mesh.faces {
                let corners = face.map(|index| mesh.vertices.get(index as usize).copied().map(corner));
                let [Some(a), Some(b), Some(c)] = corners else {
                    return Err(format!(
                        "'{}' has a face with a corner that it does not have",
                        path.display()
                    ));
                };
                triangles.push([a, b, c]);
            }
        }
        Ok(triangles)
    }

    /// Relative to the URDF, or `package://NAME/PATH` below a folder of packages; without one, below any folder above the
    /// URDF, as `NAME/PATH` or as PATH.
    fn find(&self, name: &str) -> Result<PathBuf, String> {
        let Some(in_packages) = name.strip_prefix("package://") else {
            let path = self.folder.join(name.strip_prefix("file://").unwrap_or(name));
            return if path.is_file() { Ok(path) } else { Err(format!("'{}' is no file", path.display())) };
        };
        let in_package = in_packages.split_once('/').map_or("", |(_, path)| path);
        let given = self.package_folders.iter().map(|folder| folder.join(in_packages));
        let above =
            self.folder.ancestors().flat_map(|folder| [folder.join(in_packages), folder.join(in_package)]);
        given.chain(above).find(|path| path.is_file()).ok_or_else(|| {
            format!("no such file in a package folder or above '{}'; name the folder that holds the package with --packages", self.folder.display())
        })
    }
}
