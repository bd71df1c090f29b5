//! Finds and reads the calibration of each camera's lens, where the parameter `camera_info_urls` says it is: as
//! `camera_info_manager` takes it, or a plain path.

use std::ffi::OsStr;
use std::path::PathBuf;

use swarm_capture_core::Lens;

use crate::settings::{Mistakes, Settings};

/// Stands for the camera's name in an URL.
const NAME: &str = "${NAME}";

/// The lens of each camera, in their order; of cameras without an URL none. `prefixes` are those of `AMENT_PREFIX_PATH`.
pub fn load(settings: &Settings, prefixes: &OsStr) -> Result<Vec<Option<Lens>>, Mistakes> {
    let mut mistakes = Vec::new();
    let urls = urls(settings, &mut mistakes);
    let mut lenses = Vec::new();
    for (camera, url) in settings.cameras.iter().zip(&urls) {
        if url.is_empty() {
            lenses.push(None);
            continue;
        }
        let wanted = settings.configure.and_then(|wanted| wanted.resolution);
        let lens = read(url, prefixes).and_then(|lens| match wanted.map(|(w, h)| lens.fits(w, h)) {
            Some(Err(wrong)) => Err(format!("{url}: {wrong}")),
            _ => Ok(lens),
        });
        match lens {
            Ok(lens) => {
                if !lens.camera_name.is_empty() && lens.camera_name != camera.name {
                    let (name, other) = (&camera.name, &lens.camera_name);
                    tracing::warn!("{name}: the calibration {url} names its camera '{other}'");
                }
                lenses.push(Some(lens));
            }
            Err(problem) => mistakes.push(format!("camera_info_urls: {}: {problem}", camera.name)),
        }
    }
    if mistakes.is_empty() { Ok(lenses) } else { Err(Mistakes(mistakes)) }
}

/// One for each camera.
fn urls(settings: &Settings, mistakes: &mut Vec<String>) -> Vec<String> {
    let cameras = &settings.cameras;
    let named = |(url, name): (&String, &String)| url.trim().replace(NAME, name);
    let names = cameras.iter().map(|camera| &camera.name);
    match settings.camera_info_urls.as_slice() {
        [] => vec![String::new(); cameras.len()],
        [one] if one.contains(NAME) => names.map(|name| named((one, name))).collect(),
        several if several.len() == cameras.len() => several.iter().zip(names).map(named).collect(),
        several => {
            mistakes.push(format!(
                "camera_info_urls has {} addresses for {} cameras; give one for each (empty: not calibrated), or one with {NAME} in it",
                several.len(),
                cameras.len()
            ));
            Vec::new()
        }
    }
}

fn read(url: &str, prefixes: &OsStr) -> Result<Lens, String> {
    let path = locate(url, prefixes)?;
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("the calibration {} cannot be read: {error}", path.display()))?;
    Lens::parse(&text).map_err(|mistakes| format!("the calibration {}: {mistakes}", path.display()))
}

/// `file:///path`, `package://package/path`, or a path.
fn locate(url: &str, prefixes: &OsStr) -> Result<PathBuf, String> {
    if let Some(path) = url.strip_prefix("file://") {
        return match path.starts_with('/') {
            true => Ok(path.into()),
            false => Err(format!("'{url}' names a host; expected file:///, an absolute path behind it")),
        };
    }
    if let Some(rest) = url.strip_prefix("package://") {
        let (package, path) = rest.split_once('/').unwrap_or((rest, ""));
        if package.is_empty() || path.is_empty() {
            return Err(format!("'{url}' is incomplete; expected package://PACKAGE/PATH"));
        }
        let share = PathBuf::from("share").join(package);
        let found =
            std::env::split_paths(prefixes).map(|prefix| prefix.join(&share)).find(|path| path.is_dir());
        return found.map(|folder| folder.join(path)).ok_or_else(|| {
            format!("'{url}': no prefix of AMENT_PREFIX_PATH has the package '{package}'; is its workspace sourced?")
        });
    }
    if url.contains("://") {
        return Err(format!("'{url}' cannot be opened; expected file:///..., package://... or a path"));
    }
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lead_to_files() {
        let folder = std::env::temp_dir();
        let prefix = folder.join(format!("swarm_lenses_{}", std::process::id()));
        std::fs::create_dir_all(prefix.join("share/cell_calibration")).unwrap();
        let found = |url| locate(url, prefix.as_os_str());
        assert_eq!(found("file:///data/left.yaml"), Ok("/data/left.yaml".into()));
        assert_eq!(found("data/left.yaml"), Ok("data/left.yaml".into()));
        assert_eq!(
            found("package://cell_calibration/cameras/left.yaml"),
            Ok(prefix.join("share/cell_calibration/cameras/left.yaml"))
        );
        for (url, expected) in [
            ("package://nowhere/left.yaml", "has the package 'nowhere'"),
            ("package://cell_calibration", "expected package://PACKAGE/PATH"),
            ("file://left.yaml", "expected file:///"),
            ("https://here/left.yaml", "cannot be opened"),
        ] {
            let error = found(url).unwrap_err();
            assert!(error.contains(expected) && error.contains(url), "{expected} in: {error}");
        }
        std::fs::remove_dir_all(prefix).unwrap();
    }
}
