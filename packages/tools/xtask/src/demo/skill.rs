//! What a run starts from, laid in its folder: the cell's declaration for this machine, fresh keys, the signed skill.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::machine::PermitTimeout;
use crate::error::{Error, IoContext, Result};
use crate::layout::Layout;
use crate::process;

/// Signers that the cell of the demo trusts; both must have signed.
const SIGNERS: [&str; 2] = ["demo_author", "demo_reviewer"];

/// Skill that the demo deploys and runs.
pub const SKILL: &str = "cooperative_assembly";

/// The sources of the demo's skill.
pub fn source(layout: &Layout) -> PathBuf {
    layout.root().join("tests/data").join(SKILL)
}

/// Those who sign the demo's skills, and the trust file that names them.
#[derive(Debug, Clone)]
pub struct Signers {
    folder: PathBuf,
    /// The compiled `cell`.
    cell_program: PathBuf,
}

impl Signers {
    /// Makes their keys and the trust file in `folder`; `executables` is where the compiled programs are.
    pub fn appoint(folder: &Path, executables: &Path) -> Result<Self> {
        let signers = Self { folder: folder.to_path_buf(), cell_program: executables.join("cell") };
        for (known, signer) in SIGNERS.iter().enumerate() {
            signers.make_key(signer, known + 1)?;
        }
        Ok(signers)
    }

    pub fn trust_file(&self) -> PathBuf {
        self.folder.join("trust.yaml")
    }

    /// Packages and signs the skill in `source` as `version`; gives the artifact's path.
    pub fn package(&self, source: &Path, version: &str) -> Result<PathBuf> {
        let artifact = self.folder.join(format!("{SKILL}_v{version}.tar.gz"));
        let mut command = Command::new(&self.cell_program);
        command.args(["package", "--version", version, "--model-dir"]).arg(source);
        command.arg("--output").arg(&artifact);
        process::output("packaging the skill", &mut command)?;
        for signer in SIGNERS {
            let mut command = Command::new(&self.cell_program);
            command.args(["sign", "--signer-id", signer, "--artifact"]).arg(&artifact);
            command.arg("--private-key").arg(self.folder.join("keys").join(format!("{signer}.pem")));
            process::output("signing the skill", &mut command)?;
        }
        Ok(artifact)
    }

    /// Makes `signer`'s key and trusts it; `threshold` signers are needed from then on.
    fn make_key(&self, signer: &str, threshold: usize) -> Result<()> {
        let keys = self.folder.join("keys");
        let mut command = Command::new(&self.cell_program);
        command.args(["keys", "generate", "--signer", signer, "--out"]).arg(&keys);
        process::output("making a key", &mut command)?;
        let mut command = Command::new(&self.cell_program);
        command.args(["keys", "trust", "--threshold", &threshold.to_string(), "--signer", signer]);
        command.arg("--public-key").arg(keys.join(format!("{signer}.pub.pem")));
        command.arg("--trust").arg(self.trust_file());
        process::output("trusting a key", &mut command)?;
        Ok(())
    }
}

/// Files of a cell, made before its nodes start.
#[derive(Debug)]
pub struct Materials {
    folder: PathBuf,
    signers: Signers,
    skill_source: PathBuf,
}

impl Materials {
    /// Lays the cell's declaration into `folder`.
    pub fn lay(layout: &Layout, folder: &Path, signers: Signers, permit: PermitTimeout) -> Result<Self> {
        let materials = Self { folder: folder.to_path_buf(), signers, skill_source: source(layout) };
        materials.copy_declaration(layout, permit)?;
        Ok(materials)
    }

    pub fn cell_config(&self) -> PathBuf {
        self.folder.join("config/cell.yaml")
    }

    pub fn trust_file(&self) -> PathBuf {
        self.signers.trust_file()
    }

    pub fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    /// Packages and signs the demo's skill as `version`; gives the artifact's path.
    pub fn package(&self, version: &str) -> Result<PathBuf> {
        self.signers.package(&self.skill_source, version)
    }

    /// Adds a block to the declaration, which has none of its name.
    pub fn declare(&self, block: &str) -> Result<()> {
        let path = self.cell_config();
        let text = fs::read_to_string(&path).doing("read", &path)?;
        fs::write(&path, format!("{text}\n{block}")).doing("write", &path)
    }

    /// Phases of the skill, all of which every role enters: counted in the leader's tree, which names each once.
    pub fn phases(&self) -> Result<usize> {
        let tree = self.skill_source.join("trees/leader.xml");
        let count = fs::read_to_string(&tree).doing("read", &tree)?.matches("<EnterPhase ").count();
        if count == 0 {
            return Err(Error::Malformed { path: tree, problem: "it enters no phase".to_owned() });
        }
        Ok(count)
    }

    /// The shipped declaration, with the ceiling's time-outs as long as the permit's where the machine needs it.
    fn copy_declaration(&self, layout: &Layout, permit: PermitTimeout) -> Result<()> {
        let own = self.folder.join("config");
        fs::create_dir_all(&own).doing("create", &own)?;
        // Paths in cell.yaml start at the folder that holds config/.
        let robots = self.folder.join("urdf");
        symlink(layout.root().join("urdf"), &robots).doing("link", &robots)?;
        let shipped = layout.root().join("config");
        let cell = shipped.join("cell.yaml");
        fs::copy(&cell, self.cell_config()).doing("copy", &cell)?;
        let ceiling = shipped.join("safety_ceiling.yaml");
        let text = fs::read_to_string(&ceiling).doing("read", &ceiling)?;
        let text = if permit.is_default() { text } else { relaxed(&text, permit)? };
        let path = own.join("safety_ceiling.yaml");
        fs::write(&path, text).doing("write", &path)
    }
}

/// The ceiling with its input time-outs set to that of the permit. Every other limit stays.
fn relaxed(ceiling: &str, permit: PermitTimeout) -> Result<String> {
    let mut text = String::with_capacity(ceiling.len());
    let mut replaced = 0;
    for line in ceiling.lines() {
        let name = line.trim_start();
        let timeout =
            ["joint_state_s:", "wrench_s:", "command_s:"].iter().find(|key| name.starts_with(**key));
        match timeout {
            Some(key) => {
                let indent = &line[..line.len() - name.len()];
                text.extend([indent, key, " ", &permit.seconds().to_string()]);
                replaced += 1;
            }
            None => text.push_str(line),
        }
        text.push('\n');
    }
    if replaced == 3 {
        return Ok(text);
    }
    Err(Error::Malformed {
        path: "config/safety_ceiling.yaml".into(),
        problem: format!("expected one joint_state_s, wrench_s and command_s each, found {replaced} of them"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_time_outs_of_the_ceiling_change() {
        let ceiling =
            "cell:\n  timeouts:\n    joint_state_s: 0.02\n    wrench_s: 0.02\n    command_s: 0.05\n  x: 1\n";
        let changed = relaxed(ceiling, PermitTimeout { milliseconds: 200 }).unwrap();
        assert_eq!(
            changed,
            "cell:\n  timeouts:\n    joint_state_s: 0.2\n    wrench_s: 0.2\n    command_s: 0.2\n  x: 1\n"
        );
    }

    #[test]
    fn a_ceiling_without_them_is_refused() {
        let error = relaxed("cell:\n  wrench_s: 0.02\n", PermitTimeout { milliseconds: 200 }).unwrap_err();
        assert!(error.to_string().contains("found 1 of them"), "{error}");
    }
}
