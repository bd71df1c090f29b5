//! The node's parameters, and what they come to.

use std::path::PathBuf;

use anyhow::Context as _;
use swarm_bridge_core::{OfflinePolicy, Then, Windows};
use swarm_cell::RegistryConfig;
use swarm_registry_client::{Settings as Registry, bridge};
use swarm_ros::{CellFile, NodeShell, Parameter, ParameterSpec};

/// What the node does.
#[derive(Clone, Debug)]
pub struct Settings {
    pub engine: bridge::Settings,
    /// The cell's trusted keys.
    pub trust_file: PathBuf,
}

/// The declared parameters; [`Declared::settings`] reads them once all are checked.
#[derive(Debug)]
pub struct Declared {
    registry_url: Parameter<String>,
    site_id: Parameter<String>,
    image_root: Parameter<String>,
    director_root: Parameter<String>,
    certificate: Parameter<String>,
    key: Parameter<String>,
    ca: Parameter<String>,
    data_folder: Parameter<String>,
    trust_file: Parameter<String>,
    cache_size_bytes: Parameter<i64>,
    maintenance_windows: Parameter<Vec<String>>,
    utc_offset: Parameter<String>,
    keep_running_for_s: Parameter<i64>,
    then: Parameter<String>,
}

impl Declared {
    pub fn declare(shell: &NodeShell, cell: &CellFile) -> Self {
        let registry = cell.config.registry.as_ref();
        let spec = |name: &str, default: &str, about: &str| {
            ParameterSpec::<String>::new(name, default).describe(about).read_only()
        };
        let declared = |name: &str, default: Option<&String>, about: &str| {
            let about = format!("{about}; default from the registry block of cell.yaml");
            spec(name, default.map_or("", String::as_str), &about)
        };
        let of = |name, read: fn(&RegistryConfig) -> Option<&String>, about| {
            declared(name, registry.and_then(read), about)
        };
        Self {
            registry_url: shell.declare(of("registry_url", |it| Some(&it.url), "Address of the registry").required()),
            site_id: shell.declare(of("site_id", |it| Some(&it.site_id), "Name of this cell in the registry").required()),
            image_root: shell.declare(
                of("image_root", |it| Some(&it.image_root), "File with the pinned root of the image repository").required(),
            ),
            director_root: shell.declare(
                of("director_root", |it| Some(&it.director_root), "File with the pinned root of the director").required(),
            ),
            certificate: shell.declare(of("certificate", |it| it.certificate.as_ref(), "The site's certificate chain (PEM); empty: none")),
            key: shell.declare(of("key", |it| it.key.as_ref(), "The key of the certificate (PEM)")),
            ca: shell.declare(of("ca", |it| it.ca.as_ref(), "Who may certify the registry (PEM); empty: the authorities that are built in")),
            data_folder: shell.declare(
                spec("data_folder", "/var/lib/swarm/registry_bridge", "Folder for metadata, cache, spool and the bridge's memory").required(),
            ),
            trust_file: shell.declare(
                spec("trust_file", &cell.config.artifacts.trust_file, "File of the trusted keys; default from cell.yaml").required(),
            ),
            cache_size_bytes: shell.declare(
                ParameterSpec::<i64>::new("cache_size_bytes", 4_i64 << 30)
                    .describe("Bytes that cached artifacts may take; what runs, what was last good and what is wanted is never evicted")
                    .range(1..=i64::MAX)
                    .read_only(),
            ),
            maintenance_windows: shell.declare(
                ParameterSpec::<Vec<String>>::new("maintenance_windows", Vec::new())
                    .describe("When a newer version may be deployed, in local time, as in 'mon-fri 22:00-04:30'; empty: always")
                    .validate("weekly windows", |list| windows(list, "+00:00").map(drop))
                    .read_only(),
            ),
            utc_offset: shell.declare(
                spec("utc_offset", "+00:00", "Local time minus UTC, as in +01:00")
                    .validate("an offset such as +01:00", |offset| windows(&[], offset).map(drop)),
            ),
            keep_running_for_s: shell.declare(
                ParameterSpec::<i64>::new("offline.keep_running_for_s", 7 * 86_400)
                    .describe("Seconds that a cell goes on as if nothing were without believing the registry; its metadata may have expired by as much")
                    .range(0..=i64::from(u32::MAX))
                    .read_only(),
            ),
            then: shell.declare(
                spec("offline.then", "keep", "What follows: keep what is deployed, or refuse_new_runs").one_of(&["keep", "refuse_new_runs"]),
            ),
        }
    }

    pub fn settings(&self) -> anyhow::Result<Settings> {
        let path = |parameter: &Parameter<String>| {
            let text = parameter.get();
            (!text.is_empty()).then(|| PathBuf::from(text))
        };
        let windows = windows(&self.maintenance_windows.get(), &self.utc_offset.get())
            .map_err(|error| anyhow::anyhow!("parameter maintenance_windows: {error}"))?;
        let then = if self.then.get() == "refuse_new_runs" { Then::RefuseNewRuns } else { Then::Keep };
        let engine = bridge::Settings {
            registry: Registry {
                url: self.registry_url.get(),
                certificate: path(&self.certificate),
                key: path(&self.key),
                ca: path(&self.ca),
                ..Registry::default()
            },
            site_id: self.site_id.get(),
            image_root: self.image_root.get().into(),
            director_root: self.director_root.get().into(),
            // The runtime is told paths in it, and its working directory is another one.
            data: std::path::absolute(self.data_folder.get()).context("parameter data_folder")?,
            cache_limit_bytes: self.cache_size_bytes.get().unsigned_abs(),
            windows,
            offline: OfflinePolicy {
                keep_running_for_s: u32::try_from(self.keep_running_for_s.get()).unwrap_or(u32::MAX),
                then,
            },
        };
        Ok(Settings { engine, trust_file: self.trust_file.get().into() })
    }
}

fn windows(list: &[String], offset: &str) -> Result<Windows, String> {
    Windows::parse(list.iter().map(String::as_str), offset).map_err(|error| error.to_string())
}
