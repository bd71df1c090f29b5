//! What the operator decides, and whether it holds together.
//!
//! All mistakes are said at once. What would let strangers in is refused, unless the development profile on loopback is asked for.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use swarm_api::database::DatabaseSettings;
use swarm_artifact::Trust;

use crate::access::{Audience, TokenKeys};
use crate::approval::TwoPerson;
pub use crate::arguments::{Arguments, Profile};
use crate::bags::Keeping;
use crate::blobs::Location;
use crate::current::Current;
use crate::database::Kind;
use crate::http::Access;
use crate::serve::{SiteFiles, Tls};
use crate::update::UpdateKeys;

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

/// What is wrong so far. A value that is a mistake stands for nothing: settings are made only where there is none.
#[derive(Default)]
struct Mistakes(Vec<String>);

impl Mistakes {
    fn say(&mut self, mistake: impl Into<String>) {
        self.0.push(mistake.into());
    }

    fn keep<T, E: fmt::Display>(&mut self, setting: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.say(format!("{setting}: {error}"))).ok()
    }

    fn number(&mut self, setting: &str, text: &str, range: RangeInclusive<u64>) -> u64 {
        let found = text.parse().ok().filter(|number| range.contains(number));
        let found =
            found.ok_or_else(|| format!("expected {} to {}, found '{text}'", range.start(), range.end()));
        self.keep(setting, found).unwrap_or_default()
    }
}

impl Settings {
    /// Reads the files that the arguments name, and holds everything against everything.
    pub fn read(arguments: Arguments) -> Result<Self, SettingsError> {
        let mut mistakes = Mistakes::default();
        let listen = mistakes.keep(
            "REGISTRY_LISTEN (--listen)",
            arguments.listen.parse::<SocketAddr>().map_err(|_| {
                format!("expected an address and a port such as 127.0.0.1:8080, found '{}'", arguments.listen)
            }),
        );
        let artifacts = arguments.artifacts.clone();
        let artifacts = artifacts.unwrap_or_else(|| arguments.data.join("artifacts").display().to_string());
        let artifacts = mistakes.keep("ARTIFACT_STORAGE_PATH (--artifacts)", Location::parse(&artifacts));
        let database_url = database_url(&arguments, &mut mistakes);
        let connections = "DATABASE_CONNECTIONS (--database-connections)";
        let database_connections = mistakes.number(connections, &arguments.database_connections, 1..=1000);
        let most = "MAX_ARTIFACT_BYTES (--max-artifact-bytes)";
        let max_artifact_bytes = mistakes.number(most, &arguments.max_artifact_bytes, 1..=4 << 30);
        let most = "MAX_DELTA_BYTES (--max-delta-bytes)";
        let max_delta_bytes = mistakes.number(most, &arguments.max_delta_bytes, 0..=4 << 30);
        let bags = bags(&arguments, &mut mistakes);
        let rate_limit = rate_limit(&arguments, &mut mistakes);
        let trust = arguments.trust.as_deref().map(swarm_store::read_trust);
        let trust = trust.and_then(|read| mistakes.keep("TRUST_PATH (--trust)", read));
        let keys = arguments.token_keys.as_deref().map(read_token_keys);
        let keys = keys.and_then(|read| mistakes.keep("TOKEN_KEYS_PATH (--token-keys)", read));
        let tls = tls(&arguments, &mut mistakes);
        let update_keys = arguments.update_key.as_deref().map(UpdateKeys::read);
        let update_keys = update_keys.and_then(|read| mistakes.keep("UPDATE_KEY_PATH (--update-key)", read));
        refuse_strangers(&arguments, listen, &mut mistakes);

        let (Some(listen), Some(artifacts), true) = (listen, artifacts, mistakes.0.is_empty()) else {
            return Err(SettingsError(mistakes.0));
        };
        Ok(Self {
            listen,
            data: arguments.data,
            database_url,
            database_connections: database_connections as u32,
            artifacts,
            trust,
            max_artifact_bytes,
            max_delta_bytes,
            bags,
            max_silence: MAX_SILENCE,
            access: match arguments.profile {
                Profile::Development => Access::Development,
                Profile::Production => {
                    let audience = Audience(arguments.token_audience);
                    Access::Required { keys: Current::new(keys), audience }
                }
            },
            tls,
            update_keys,
            two_person: if arguments.two_person_approval { TwoPerson::Required } else { TwoPerson::Off },
            rate_limit,
        })
    }
}

fn database_url(arguments: &Arguments, mistakes: &mut Mistakes) -> String {
    let settings = DatabaseSettings {
        url: arguments.database_url.as_deref(),
        host: arguments.database_host.as_deref(),
        port: &arguments.database_port,
        name: arguments.database_name.as_deref(),
        user: arguments.database_user.as_deref(),
        password: arguments.database_password.as_deref(),
    };
    let setting = "DATABASE_URL (--database-url)";
    let Some(url) = mistakes.keep(setting, settings.address(&arguments.data)) else {
        return String::new();
    };
    if Kind::of(&url).is_none() {
        // The address may hold a password: it is not repeated.
        mistakes.say(format!(
            "{setting}: expected an address that begins with sqlite: or postgresql:, found another"
        ));
    }
    url
}

fn bags(arguments: &Arguments, mistakes: &mut Mistakes) -> Keeping {
    let (most, quota, days) = (
        "MAX_BAG_BYTES (--max-bag-bytes)",
        "BAGS_QUOTA_BYTES (--bags-quota-bytes)",
        "BAG_RETENTION_DAYS (--bag-retention-days)",
    );
    Keeping {
        max_bytes: mistakes.number(most, &arguments.max_bag_bytes, 0..=64 << 30),
        quota_bytes: mistakes.number(quota, &arguments.bags_quota_bytes, 0..=1 << 50),
        days: mistakes.number(days, &arguments.bag_retention_days, 0..=36_500) as u32,
    }
}

fn rate_limit(arguments: &Arguments, mistakes: &mut Mistakes) -> Option<NonZeroU32> {
    let usual = match arguments.profile {
        Profile::Production => "500",
        Profile::Development => "0",
    };
    let text = arguments.rate_limit_per_s.as_deref().unwrap_or(usual);
    NonZeroU32::new(mistakes.number("RATE_LIMIT_PER_S (--rate-limit-per-s)", text, 0..=1_000_000) as u32)
}

fn read_token_keys(path: &Path) -> Result<TokenKeys, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read '{}': {error}", path.display()))?;
    TokenKeys::parse(&text).map_err(|error| format!("in '{}': {error}", path.display()))
}

fn tls(arguments: &Arguments, mistakes: &mut Mistakes) -> Option<Tls> {
    let (sites, crl) = (arguments.tls_site_ca.as_deref(), arguments.tls_site_crl.as_deref());
    if crl.is_some() && sites.is_none() {
        mistakes.say("TLS_SITE_CRL_PATH needs TLS_SITE_CA_PATH, whose certificates it revokes");
    }
    match (&arguments.tls_certificate, &arguments.tls_key) {
        (Some(certificate), Some(key)) => {
            let read = Tls::read(certificate, key, sites.map(|ca| SiteFiles { ca, crl }));
            mistakes.keep("TLS_CERTIFICATE_PATH, TLS_KEY_PATH, TLS_SITE_CA_PATH, TLS_SITE_CRL_PATH", read)
        }
        (None, None) => {
            if sites.is_some() {
                mistakes.say("TLS_SITE_CA_PATH needs TLS_CERTIFICATE_PATH and TLS_KEY_PATH");
            }
            None
        }
        _ => {
            mistakes.say("TLS_CERTIFICATE_PATH and TLS_KEY_PATH need each other; one is missing");
            None
        }
    }
}

/// Nobody may come in whom nobody let in, and nobody may listen in.
fn refuse_strangers(arguments: &Arguments, listen: Option<SocketAddr>, mistakes: &mut Mistakes) {
    let loopback = listen.is_none_or(|address| address.ip().is_loopback());
    let encrypted = arguments.tls_certificate.is_some() || arguments.plain_http_behind_a_tls_proxy;
    let sign_in = arguments.token_keys.is_some() || arguments.tls_site_ca.is_some();
    match arguments.profile {
        Profile::Development if !loopback => mistakes.say(
            "REGISTRY_PROFILE (--profile): development lets everybody do everything, so that it listens on a loopback \
             address only; listen on 127.0.0.1:8080, or leave the profile out and give TOKEN_KEYS_PATH",
        ),
        Profile::Production if !sign_in => mistakes.say(
            "nobody could sign in: give TOKEN_KEYS_PATH (--token-keys) for people or TLS_SITE_CA_PATH (--tls-site-ca) \
             for sites; to try the registry out on this machine: --profile development",
        ),
        Profile::Production if !loopback && !encrypted => mistakes.say(
            "tokens would travel unencrypted beyond this machine: give TLS_CERTIFICATE_PATH and TLS_KEY_PATH, or \
             --plain-http-behind-a-tls-proxy where a proxy does TLS",
        ),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

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
