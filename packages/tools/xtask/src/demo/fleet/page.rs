//! The registry's pages as pictures, by headless Chromium.

use std::path::PathBuf;
use std::process::Command;

use super::central::Central;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::process::{self, find_program};
use crate::ros::debian;
use crate::ros::underlay::Variables;

/// A page, and the file for its picture.
pub type Picture = (String, PathBuf);

/// Signs in as the engineer and takes the pictures. The Python of `variables` has playwright.
pub fn take(layout: &Layout, variables: &Variables, central: &Central, pictures: &[Picture]) -> Result<()> {
    let search_path = variables.get("PATH").map(std::ffi::OsString::from).unwrap_or_default();
    let missing = |what: &str| Error::Missing {
        what: format!("a picture of the page needs {what}, which is not on PATH"),
        hint: "cargo xtask demo --fleet --screenshot, as a user who may install Debian packages".to_owned(),
    };
    let python = find_program("python3", &search_path).ok_or_else(|| missing("python3"))?;
    let [browser] = debian::PAGE_TOOLS;
    let chromium = browser.look().ok_or_else(|| missing(browser.what))?;
    let mut command = Command::new(python);
    command.arg(script(layout)).arg("--chromium").arg(chromium);
    command.args(["--url", central.url()]).arg("--token-file").arg(central.token_file());
    command.args(pictures.iter().map(|(path, picture)| format!("{path}={}", picture.display())));
    process::output("taking pictures of the page", command.envs(variables)).map(drop)
}

fn script(layout: &Layout) -> PathBuf {
    layout.root().join("packages/tools/xtask/src/demo/fleet/page.py")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_where_it_is_looked_for() {
        assert!(script(&Layout::of_this_program()).is_file());
    }
}
