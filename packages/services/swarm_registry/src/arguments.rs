//! What the operator says, on the command line or in the environment.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

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
