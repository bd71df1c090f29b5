//! `csactl ca`: certificates by which sites sign in, and the registry's own.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use serde_json::json;
use time::OffsetDateTime;

use super::crl::Certificate;
use crate::files::{self, Access};
use crate::target::site_id;
use crate::{Context, Outcome};

/// Clocks of two machines differ by so much, in seconds.
const LEEWAY_S: i64 = 300;

/// A certificate authority of the sites' own.
#[derive(Debug, Subcommand)]
pub(crate) enum Ca {
    /// Make the authority: ca.key (mode 0400), ca.pem (mode 0444), and crl.pem, the list of what it took back.
    Init {
        /// Folder for the three.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Its name.
        #[arg(long, value_name = "NAME", default_value = "swarm sites")]
        name: String,
        /// For how many days it is good.
        #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=7300))]
        days: u32,
    },
    /// Certify a site: SITE.key (mode 0400) and SITE.pem (mode 0444), for its bridge to sign in with.
    Site {
        /// The site's name.
        #[arg(value_parser = site_id)]
        site: String,
        #[command(flatten)]
        issue: Issue,
    },
    Revoke(super::crl::Revoke),
    /// Certify a registry: HOST.key (mode 0400) and HOST.pem (mode 0444), for TLS_KEY_PATH and TLS_CERTIFICATE_PATH.
    Server {
        /// Host names and addresses by which it is reached; the first names the files.
        #[arg(required = true, value_parser = site_id)]
        hosts: Vec<String>,
        #[command(flatten)]
        issue: Issue,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Issue {
    /// Folder of the authority, as `csactl ca init` made it.
    #[arg(long, value_name = "DIR")]
    ca: PathBuf,
    /// Folder for the two files.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// For how many days it is good.
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=825))]
    days: u32,
}

pub(crate) fn run(command: &Ca, context: &Context) -> anyhow::Result<Outcome> {
    match command {
        Ca::Init { out, name, days } => {
            let key = KeyPair::generate()?;
            let mut params = params(name, *days)?;
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            let certificate = params.self_signed(&key)?;
            write(out, "ca", &key, &certificate.pem(), context)?;
            let not_after = params.not_after;
            super::crl::create_empty(&super::crl::path(out), &Issuer::new(params, key), not_after)?;
            Ok(Outcome::Done)
        }
        Ca::Site { site, issue } => {
            let names = vec![SanType::DnsName(site.as_str().try_into()?)];
            certify(site, names, ExtendedKeyUsagePurpose::ClientAuth, issue, context)
        }
        Ca::Revoke(args) => super::crl::revoke(args, context),
        Ca::Server { hosts, issue } => {
            let name = |host: &String| -> anyhow::Result<SanType> {
                Ok(match host.parse::<IpAddr>() {
                    Ok(address) => SanType::IpAddress(address),
                    Err(_) => SanType::DnsName(host.as_str().try_into()?),
                })
            };
            let names = hosts.iter().map(name).collect::<anyhow::Result<_>>()?;
            certify(&hosts[0], names, ExtendedKeyUsagePurpose::ServerAuth, issue, context)
        }
    }
}

fn certify(
    name: &str,
    names: Vec<SanType>,
    purpose: ExtendedKeyUsagePurpose,
    issue: &Issue,
    context: &Context,
) -> anyhow::Result<Outcome> {
    let (issuer, _) = authority(&issue.ca)?;
    let key = KeyPair::generate()?;
    let mut params = params(name, issue.days)?;
    params.subject_alt_names = names;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, &issuer)?;
    write(&issue.out, name, &key, &certificate.pem(), context)
}

/// What signs for an authority, and its certificate.
pub(super) fn authority(folder: &Path) -> anyhow::Result<(Issuer<'static, KeyPair>, Certificate)> {
    let path = folder.join("ca.key");
    let key =
        KeyPair::from_pem(&files::read_secret(&path)?).with_context(|| format!("'{}'", path.display()))?;
    let path = folder.join("ca.pem");
    let issuer = Issuer::from_ca_cert_pem(&files::read(&path)?, key)
        .with_context(|| format!("'{}'", path.display()))?;
    Ok((issuer, Certificate::read(&path)?))
}

fn params(name: &str, days: u32) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, name);
    let now = swarm_store::unix_now();
    params.not_before = OffsetDateTime::from_unix_timestamp(now - LEEWAY_S)?;
    params.not_after = OffsetDateTime::from_unix_timestamp(now + i64::from(days) * 86_400)?;
    Ok(params)
}

fn write(
    out: &Path,
    name: &str,
    key: &KeyPair,
    certificate: &str,
    context: &Context,
) -> anyhow::Result<Outcome> {
    files::folder(out)?;
    let (key_path, certificate_path) = (out.join(format!("{name}.key")), out.join(format!("{name}.pem")));
    if certificate_path.exists() {
        anyhow::bail!(
            "'{}' exists already and is not overwritten; choose another --out",
            certificate_path.display()
        );
    }
    files::create(&key_path, key.serialize_pem().as_bytes(), Access::OwnerReads)?;
    files::create(&certificate_path, certificate.as_bytes(), Access::EveryoneReads)?;
    context.output.show(&json!({"key": key_path, "certificate": certificate_path}), || {
        format!(
            "key          {} (keep it secret)\ncertificate  {}",
            key_path.display(),
            certificate_path.display()
        )
    })?;
    Ok(Outcome::Done)
}
