//! What the operator decides, on the command line or in the environment, and whether it holds together.
//!
//! All mistakes are said at once. What would let strangers in is refused, unless the development profile on loopback is asked for.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use swarm_api::database::DatabaseSettings;
use swarm_artifact::Trust;

use crate::access::{Audience, TokenKeys};
use crate::approval::TwoPerson;
use crate::bags::Keeping;
use crate::blobs::Location;
use crate::current::Current;
use crate::database::Kind;
use crate::http::Access;
use crate::serve::{SiteFiles, Tls};
use crate::update::UpdateKeys;

/// The central registry of signed skill artifacts.
#[derive(Clone, Debug, Parser)]
#[command(name = "swarm_registry", version)]
pub struct Arguments {
    /// Address and port to listen on
    #[arg(long, env = "REGISTRY_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// Folder for the database, the artifacts and uploads that are under way, where no other place is said
    #[arg(long, env = "REGISTRY_DATA_PATH", default_value = "swarm_registry_data")]
    pub data: PathBuf,
    /// sqlite:FILE or postgresql://USER@HOST/NAME [default: a SQLite file in the data folder]
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// Host of a PostgreSQL server, with DATABASE_NAME, DATABASE_USER and DATABASE_PASSWORD in place of DATABASE_URL
    #[arg(long, env = "DATABASE_HOST")]
    pub database_host: Option<String>,
    #[arg(long, env = "DATABASE_PORT", default_value = "5432")]
    pub database_port: String,
    #[arg(long, env = "DATABASE_NAME")]
    pub database_name: Option<String>,
    #[arg(long, env = "DATABASE_USER")]
    pub database_user: Option<String>,
    /// From the environment only: a command line can be seen by every program of the machine
    #[arg(skip = std::env::var("DATABASE_PASSWORD").ok())]
    pub database_password: Option<String>,
    /// A folder, or s3://BUCKET/PREFIX [default: a folder in the data folder]
    #[arg(long, env = "ARTIFACT_STORAGE_PATH")]
    pub artifacts: Option<String>,
    /// The trust file: whose signatures make an artifact believed; without it, uploads are refused
    #[arg(long, env = "TRUST_PATH")]
    pub trust: Option<PathBuf>,
    /// Largest artifact, in bytes
    #[arg(long, env = "MAX_ARTIFACT_BYTES", default_value = "4294967296")]
    pub max_artifact_bytes: String,
    /// Largest artifact that deltas are made of, in bytes when it is unpacked; a registry needs three times as much memory. 0 = no
    /// deltas
    #[arg(long, env = "MAX_DELTA_BYTES", default_value = "268435456")]
    pub max_delta_bytes: String,
    /// Largest bag that a cell may hand in, in bytes; 0 = no bags
    #[arg(long, env = "MAX_BAG_BYTES", default_value = "17179869184")]
    pub max_bag_bytes: String,
    /// Most bytes that all bags may have; further ones wait in their cells
    #[arg(long, env = "BAGS_QUOTA_BYTES", default_value = "107374182400")]
    pub bags_quota_bytes: String,
    /// Days after which bags are removed, 0 = never
    #[arg(long, env = "BAG_RETENTION_DAYS", default_value = "90")]
    pub bag_retention_days: String,
    /// Connections to the database
    #[arg(long, env = "DATABASE_CONNECTIONS", default_value = "8")]
    pub database_connections: String,
    /// `development` lets everybody who reaches the address do everything; on loopback only
    #[arg(long, env = "REGISTRY_PROFILE", value_enum, default_value = "production")]
    pub profile: Profile,
    /// File with the keys that may sign people's tokens
    #[arg(long, env = "TOKEN_KEYS_PATH")]
    pub token_keys: Option<PathBuf>,
    /// The audience that tokens have to name
    #[arg(long, env = "TOKEN_AUDIENCE", default_value = "swarm_registry")]
    pub token_audience: String,
    /// The registry's certificate chain (PEM)
    #[arg(long, env = "TLS_CERTIFICATE_PATH")]
    pub tls_certificate: Option<PathBuf>,
    /// The key of the certificate (PEM)
    #[arg(long, env = "TLS_KEY_PATH")]
    pub tls_key: Option<PathBuf>,
    /// Certificates (PEM) of those who may certify sites; a site's bridge then signs in with its certificate
    #[arg(long, env = "TLS_SITE_CA_PATH")]
    pub tls_site_ca: Option<PathBuf>,
    /// Certificates of sites that are revoked: a list (PEM) of each of those authorities, read again on SIGHUP
    #[arg(long, env = "TLS_SITE_CRL_PATH")]
    pub tls_site_crl: Option<PathBuf>,
    /// The private key (PEM, Ed25519, mode 600) that signs snapshot and timestamp of the update repositories and the director's
    /// targets; without it nothing can be published or deployed
    #[arg(long, env = "UPDATE_KEY_PATH")]
    pub update_key: Option<PathBuf>,
    /// A rollback of all cells, and a new root, wait for a second person
    #[arg(long, env = "TWO_PERSON_APPROVAL")]
    pub two_person_approval: bool,
    /// Requests per second of one caller, 0 = without a limit [default: 500; with the development profile 0]
    #[arg(long, env = "RATE_LIMIT_PER_S")]
    pub rate_limit_per_s: Option<String>,
    /// Serve plain HTTP beyond this machine, because a proxy in front of it does TLS
    #[arg(long, env = "PLAIN_HTTP_BEHIND_A_TLS_PROXY")]
    pub plain_http_behind_a_tls_proxy: bool,
    /// Only check the settings
    #[arg(long)]
    pub check: bool,
}

/// How callers are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    Production,
    Development,
}

/// Settings that hold together.
#[derive(Debug)]
pub struct Settings {
    pub listen: SocketAddr,
    pub data: PathBuf,
    pub database_url: String,
    pub database_connections: u32,
    pub artifacts: Location,
    pub trust: Option<Trust>,
    pub max_artifact_bytes: u64,
    pub max_delta_bytes: u64,
    pub bags: Keeping,
    pub max_silence: Duration,
    pub access: Access,
    pub tls: Option<Tls>,
    pub update_keys: Option<UpdateKeys>,
    pub two_person: TwoPerson,
    /// Requests per second of one caller.
    pub rate_limit: Option<NonZeroU32>,
}

/// All mistakes of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError(pub Vec<String>);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the settings cannot be used:")?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n- {mistake}"))
    }
}

impl std::error::Error for SettingsError {}

/// A sender that is silent for longer is cut off.
const MAX_SILENCE: Duration = Duration::from_secs(30);

struct Mistakes(Vec<String>);

impl Mistakes {
    fn keep<T, E: fmt::Display>(&mut self, setting: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.0.push(format!("{setting}: {error}"))).ok()
    }
}

impl Settings {
    /// Reads the files that the arguments name, and holds everything against everything.
    pub fn read(arguments: Arguments) -> Result<Self, SettingsError> {
        let mut mistakes = Mistakes(Vec::new());
        let listen = mistakes.keep(
            "REGISTRY_LISTEN (--listen)",
            arguments.listen.parse::<SocketAddr>().map_err(|_| {
                format!("expected an address and a port such as 127.0.0.1:8080, found '{}'", arguments.listen)
            }),
        );
        let number = |text: &str, range: std::ops::RangeInclusive<u64>| {
            let found = text.parse().ok().filter(|number| range.contains(number));
            found.ok_or_else(|| format!("expected {} to {}, found '{text}'", range.start(), range.end()))
        };
        let max_artifact_bytes = mistakes.keep(
            "MAX_ARTIFACT_BYTES (--max-artifact-bytes)",
            number(&arguments.max_artifact_bytes, 1..=4 << 30),
        );
        let max_delta_bytes = mistakes
            .keep("MAX_DELTA_BYTES (--max-delta-bytes)", number(&arguments.max_delta_bytes, 0..=4 << 30));
        let max_bag_bytes =
            mistakes.keep("MAX_BAG_BYTES (--max-bag-bytes)", number(&arguments.max_bag_bytes, 0..=64 << 30));
        let bags_quota_bytes = mistakes
            .keep("BAGS_QUOTA_BYTES (--bags-quota-bytes)", number(&arguments.bags_quota_bytes, 0..=1 << 50));
        let bag_retention_days = mistakes.keep(
            "BAG_RETENTION_DAYS (--bag-retention-days)",
            number(&arguments.bag_retention_days, 0..=36_500),
        );
        // What is missing is a mistake, and ends below.
        let bags = Keeping {
            max_bytes: max_bag_bytes.unwrap_or_default(),
            quota_bytes: bags_quota_bytes.unwrap_or_default(),
            days: bag_retention_days.unwrap_or_default() as u32,
        };
        let connections = mistakes.keep(
            "DATABASE_CONNECTIONS (--database-connections)",
            number(&arguments.database_connections, 1..=1000),
        );
        let database_url = mistakes
            .keep("DATABASE_URL (--database-url)", database_url(&arguments))
            .unwrap_or_else(|| "sqlite:".to_owned());
        if Kind::of(&database_url).is_none() {
            // The address may hold a password: it is not repeated.
            let expected = "expected an address that begins with sqlite: or postgresql:, found another";
            mistakes.0.push(format!("DATABASE_URL (--database-url): {expected}"));
        }
        let artifacts =
            arguments.artifacts.unwrap_or_else(|| arguments.data.join("artifacts").display().to_string());
        let artifacts = mistakes.keep("ARTIFACT_STORAGE_PATH (--artifacts)", Location::parse(&artifacts));
        let trust = arguments.trust.map(|path| swarm_store::read_trust(&path));
        let trust = trust.map(|read| mistakes.keep("TRUST_PATH (--trust)", read));
        let keys = arguments.token_keys.map(|path| {
            let text = std::fs::read_to_string(&path)
                .map_err(|error| format!("cannot read '{}': {error}", path.display()))?;
            TokenKeys::parse(&text).map_err(|error| format!("in '{}': {error}", path.display()))
        });
        let keys = keys.map(|read| mistakes.keep("TOKEN_KEYS_PATH (--token-keys)", read));
        let tls = match (&arguments.tls_certificate, &arguments.tls_key) {
            (Some(certificate), Some(key)) => {
                let crl = arguments.tls_site_crl.as_deref();
                let sites = arguments.tls_site_ca.as_deref().map(|ca| SiteFiles { ca, crl });
                let read = Tls::read(certificate, key, sites);
                mistakes.keep("TLS_CERTIFICATE_PATH, TLS_KEY_PATH, TLS_SITE_CA_PATH, TLS_SITE_CRL_PATH", read)
            }
            (None, None) => {
                if arguments.tls_site_ca.is_some() {
                    mistakes
                        .0
                        .push("TLS_SITE_CA_PATH needs TLS_CERTIFICATE_PATH and TLS_KEY_PATH".to_owned());
                }
                None
            }
            _ => {
                mistakes
                    .0
                    .push("TLS_CERTIFICATE_PATH and TLS_KEY_PATH need each other; one is missing".to_owned());
                None
            }
        };
        if arguments.tls_site_crl.is_some() && arguments.tls_site_ca.is_none() {
            mistakes
                .0
                .push("TLS_SITE_CRL_PATH needs TLS_SITE_CA_PATH, whose certificates it revokes".to_owned());
        }
        let update_keys = arguments.update_key.as_deref().map(UpdateKeys::read);
        let update_keys = update_keys.map(|read| mistakes.keep("UPDATE_KEY_PATH (--update-key)", read));
        let usual_limit = match arguments.profile {
            Profile::Production => "500",
            Profile::Development => "0",
        };
        let rate_limit = mistakes.keep(
            "RATE_LIMIT_PER_S (--rate-limit-per-s)",
            number(arguments.rate_limit_per_s.as_deref().unwrap_or(usual_limit), 0..=1_000_000),
        );
        let loopback = listen.is_none_or(|address| address.ip().is_loopback());
        let encrypted = arguments.tls_certificate.is_some() || arguments.plain_http_behind_a_tls_proxy;
        match arguments.profile {
            Profile::Development if !loopback => mistakes.0.push(
                "REGISTRY_PROFILE (--profile): development lets everybody do everything, so that it listens on a \
                 loopback address only; listen on 127.0.0.1:8080, or leave the profile out and give TOKEN_KEYS_PATH"
                    .to_owned(),
            ),
            Profile::Production if keys.is_none() && arguments.tls_site_ca.is_none() => mistakes.0.push(
                "nobody could sign in: give TOKEN_KEYS_PATH (--token-keys) for people or TLS_SITE_CA_PATH \
                 (--tls-site-ca) for sites; to try the registry out on this machine: --profile development"
                    .to_owned(),
            ),
            Profile::Production if !loopback && !encrypted => mistakes.0.push(
                "tokens would travel unencrypted beyond this machine: give TLS_CERTIFICATE_PATH and TLS_KEY_PATH, or \
                 --plain-http-behind-a-tls-proxy where a proxy does TLS"
                    .to_owned(),
            ),
            _ => {}
        }
        let access = match arguments.profile {
            Profile::Development => Access::Development,
            Profile::Production => {
                let keys = Current::new(keys.flatten());
                Access::Required { keys, audience: Audience(arguments.token_audience) }
            }
        };
        match (listen, max_artifact_bytes, max_delta_bytes, connections, artifacts) {
            (
                Some(listen),
                Some(max_artifact_bytes),
                Some(max_delta_bytes),
                Some(connections),
                Some(artifacts),
            ) if mistakes.0.is_empty() => Ok(Self {
                listen,
                data: arguments.data,
                database_url,
                database_connections: connections as u32,
                artifacts,
                trust: trust.flatten(),
                max_artifact_bytes,
                max_delta_bytes,
                bags,
                max_silence: MAX_SILENCE,
                access,
                tls,
                update_keys: update_keys.flatten(),
                two_person: if arguments.two_person_approval { TwoPerson::Required } else { TwoPerson::Off },
                rate_limit: rate_limit.and_then(|limit| NonZeroU32::new(limit as u32)),
            }),
            _ => Err(SettingsError(mistakes.0)),
        }
    }
}

fn database_url(arguments: &Arguments) -> Result<String, String> {
    let settings = DatabaseSettings {
        url: arguments.database_url.as_deref(),
        host: arguments.database_host.as_deref(),
        port: &arguments.database_port,
        name: arguments.database_name.as_deref(),
        user: arguments.database_user.as_deref(),
        password: arguments.database_password.as_deref(),
    };
    settings.address(&arguments.data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Settings, SettingsError> {
        let arguments = ["swarm_registry"].iter().chain(arguments);
        Settings::read(Arguments::try_parse_from(arguments).unwrap())
    }

    #[test]
    fn development_on_this_machine_needs_no_set_up() {
        let settings = read(&["--profile", "development"]).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.database_url, "sqlite:swarm_registry_data/registry.db");
        assert_eq!(settings.artifacts, Location::Folder("swarm_registry_data/artifacts".into()));
    }

    #[test]
    fn what_would_let_strangers_in_is_refused() {
        let mistakes = |arguments: &[&str]| read(arguments).unwrap_err().0.join("\n");
        assert!(mistakes(&[]).contains("nobody could sign in"));
        let open = ["--profile", "development", "--listen", "0.0.0.0:8080"];
        assert!(mistakes(&open).contains("loopback address only"));
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys.yaml");
        let pem = "-----BEGIN PUBLIC KEY-----\\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\\n-----END PUBLIC KEY-----\\n";
        std::fs::write(&keys, format!("keys:\n- {{id: a, public_key: \"{pem}\", roles: [admin]}}\n"))
            .unwrap();
        let keys = keys.to_str().unwrap();
        assert!(mistakes(&["--token-keys", keys, "--listen", "0.0.0.0:8080"]).contains("unencrypted"));
        assert!(read(&["--token-keys", keys]).is_ok());
        let proxied = ["--token-keys", keys, "--listen", "0.0.0.0:8080", "--plain-http-behind-a-tls-proxy"];
        assert!(read(&proxied).is_ok());
    }

    #[test]
    fn all_mistakes_are_said_at_once_and_no_password_is() {
        let wrong = [
            "--listen",
            "8080",
            "--max-artifact-bytes",
            "4G",
            "--database-connections",
            "0",
            "--database-url",
            "mysql://root:hunter2@host/x",
            "--artifacts",
            "ftp://x",
            "--trust",
            "/nowhere/trust.yaml",
            "--token-keys",
            "/nowhere/keys.yaml",
            "--tls-key",
            "/nowhere/key.pem",
            "--tls-site-crl",
            "/nowhere/crl.pem",
            "--update-key",
            "/nowhere/online.pem",
            "--rate-limit-per-s",
            "many",
        ];
        let SettingsError(mistakes) = read(&wrong).unwrap_err();
        assert_eq!(mistakes.len(), 11, "{mistakes:#?}");
        assert!(!mistakes.join("").contains("hunter2"));
    }

    #[test]
    fn the_database_is_named_by_an_address_or_by_its_parts() {
        let mut arguments = Arguments::try_parse_from([
            "swarm_registry",
            "--profile",
            "development",
            "--database-host",
            "db.example",
            "--database-name",
            "csa_registry",
            "--database-user",
            "registry",
        ])
        .unwrap();
        arguments.database_password = Some("p@ss:w/rd".to_owned());
        let settings = Settings::read(arguments.clone()).unwrap();
        let expected = "postgresql://registry:p%40ss%3Aw%2Frd@db.example:5432/csa%5Fregistry";
        assert_eq!(settings.database_url, expected);
        let refused = |arguments: Arguments| {
            let SettingsError(mistakes) = Settings::read(arguments).unwrap_err();
            assert!(!mistakes.join("").contains("w/rd"), "{mistakes:?}");
            mistakes.join("")
        };
        let both = Arguments { database_url: Some("sqlite:x".to_owned()), ..arguments.clone() };
        assert!(refused(both).contains("not both"));
        let less = Arguments { database_user: None, ..arguments.clone() };
        assert!(refused(less).contains("need each other"));
        assert!(refused(Arguments { database_port: "x".to_owned(), ..arguments }).contains("DATABASE_PORT"));
    }
}
