//! `csactl ca revoke`: the list of certificates that an authority takes back (RFC 5280, section 5).
//!
//! The list is `crl.pem` beside the authority's certificate; nothing else remembers what was revoked. It is signed anew, with a
//! higher number, by each revocation.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use rcgen::{
    CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, RevocationReason, RevokedCertParams,
    SerialNumber,
};
use serde_json::json;
use time::OffsetDateTime;
use x509_parser::prelude::{CertificateRevocationList, FromDer as _, Pem, ReasonCode, X509Certificate};

use crate::files;
use crate::{Context, Outcome};

/// Take certificates back: their sites cannot sign in any more once a registry has the new list.
#[derive(Debug, clap::Args)]
pub(crate) struct Revoke {
    /// Certificates to take back, as `csactl ca site` made them.
    #[arg(required = true, value_name = "PEM")]
    certificates: Vec<PathBuf>,
    /// Folder of the authority, as `csactl ca init` made it.
    #[arg(long, value_name = "DIR")]
    ca: PathBuf,
    /// Why.
    #[arg(long, value_enum, default_value_t = Reason::Unspecified)]
    reason: Reason,
}

/// Reasons that fit a site's certificate.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Reason {
    Unspecified,
    /// Somebody else may have the key.
    KeyCompromise,
    /// The site has a newer certificate.
    Superseded,
    /// The site is no more.
    CessationOfOperation,
}

impl Reason {
    const fn code(self) -> RevocationReason {
        match self {
            Self::Unspecified => RevocationReason::Unspecified,
            Self::KeyCompromise => RevocationReason::KeyCompromise,
            Self::Superseded => RevocationReason::Superseded,
            Self::CessationOfOperation => RevocationReason::CessationOfOperation,
        }
    }
}

/// The list in the authority's folder.
pub(crate) fn path(ca: &Path) -> PathBuf {
    ca.join("crl.pem")
}

pub(crate) fn revoke(args: &Revoke, context: &Context) -> anyhow::Result<Outcome> {
    let (issuer, authority) = super::ca::authority(&args.ca)?;
    let path = path(&args.ca);
    let mut list = List::read(&path)?;
    let (mut revoked, mut before) = (Vec::new(), Vec::new());
    for file in &args.certificates {
        let certificate = Certificate::read(file)?;
        if certificate.issuer != authority.subject {
            let (is, should) = (&certificate.issuer, &authority.subject);
            bail!(
                "'{}' was issued by '{is}' and not by this authority, '{should}'; nothing was revoked",
                file.display()
            );
        }
        let known = list.revoked.iter().any(|entry| entry.serial_number.as_ref() == certificate.serial);
        if known {
            before.push(certificate.subject);
        } else {
            list.revoked.push(RevokedCertParams {
                serial_number: SerialNumber::from(certificate.serial),
                revocation_time: now()?,
                reason_code: Some(args.reason.code()),
                invalidity_date: None,
            });
            revoked.push(certificate.subject);
        }
    }
    if !revoked.is_empty() {
        list.number += 1;
        list.write(&path, &issuer, authority.not_after)?;
    }
    let (number, entries) = (list.number, list.revoked.len());
    let done = json!({
        "revoked": revoked, "revoked_before": before, "list": path, "number": number, "entries": entries
    });
    context.output.show(&done, || {
        let mut text = String::new();
        for (names, what) in [(&revoked, "revoked"), (&before, "revoked before")] {
            if !names.is_empty() {
                let _ = writeln!(text, "{what:<15} {}", names.join(", "));
            }
        }
        let _ = writeln!(text, "list            {} (number {number}, {entries} in all)", path.display());
        text + "Put it where the registry's TLS_SITE_CRL_PATH names it, and send the registry SIGHUP.\n"
    })?;
    Ok(Outcome::Done)
}

/// The list of an authority that has revoked nothing.
pub(crate) fn create_empty(
    path: &Path,
    issuer: &Issuer<'_, KeyPair>,
    not_after: OffsetDateTime,
) -> anyhow::Result<()> {
    List { number: 1, revoked: Vec::new() }.write(path, issuer, not_after)
}

/// What a list says.
struct List {
    number: u64,
    revoked: Vec<RevokedCertParams>,
}

impl List {
    /// None yet is an empty one: the authority is older than its list.
    fn read(path: &Path) -> anyhow::Result<Self> {
        if !path.exists() {
            return Ok(Self { number: 0, revoked: Vec::new() });
        }
        let pem = pem(path, "X509 CRL")?;
        let malformed = || anyhow!("'{}' is no revocation list", path.display());
        let (_, list) = CertificateRevocationList::from_der(&pem.contents).map_err(|_| malformed())?;
        let number = list.crl_number().map(|number| number.iter_u64_digits().next().unwrap_or_default());
        let revoked = list.iter_revoked_certificates().map(|entry| {
            Ok(RevokedCertParams {
                serial_number: SerialNumber::from(without_zeros(entry.raw_serial())),
                revocation_time: OffsetDateTime::from_unix_timestamp(entry.revocation_date.timestamp())?,
                reason_code: entry.reason_code().and_then(|(_, code)| reason(code)),
                invalidity_date: None,
            })
        });
        Ok(Self { number: number.ok_or_else(malformed)?, revoked: revoked.collect::<anyhow::Result<_>>()? })
    }

    /// It is good for as long as its authority: there is no next list before something is revoked.
    fn write(
        &self,
        path: &Path,
        issuer: &Issuer<'_, KeyPair>,
        not_after: OffsetDateTime,
    ) -> anyhow::Result<()> {
        let params = CertificateRevocationListParams {
            this_update: now()?,
            next_update: not_after,
            crl_number: SerialNumber::from(self.number),
            issuing_distribution_point: None,
            revoked_certs: self.revoked.clone(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        files::replace(path, params.signed_by(issuer)?.pem()?.as_bytes())
    }
}

/// What of a certificate is of interest here.
pub(crate) struct Certificate {
    subject: String,
    issuer: String,
    serial: Vec<u8>,
    not_after: OffsetDateTime,
}

impl Certificate {
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let pem = pem(path, "CERTIFICATE")?;
        let (_, certificate) = X509Certificate::from_der(&pem.contents)
            .map_err(|error| anyhow!("'{}' is no certificate: {error}", path.display()))?;
        Ok(Self {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            serial: without_zeros(certificate.raw_serial()),
            not_after: OffsetDateTime::from_unix_timestamp(certificate.validity().not_after.timestamp())?,
        })
    }
}

fn pem(path: &Path, label: &str) -> anyhow::Result<Pem> {
    let text = files::read(path)?;
    let (_, pem) = x509_parser::pem::parse_x509_pem(text.as_bytes())
        .map_err(|_| anyhow!("'{}' holds nothing in PEM", path.display()))?;
    if pem.label != label {
        bail!("'{}' holds a {}, expected a {label}", path.display(), pem.label);
    }
    Ok(pem)
}

/// A DER integer may begin with a zero, which makes it positive.
fn without_zeros(serial: &[u8]) -> Vec<u8> {
    serial.iter().copied().skip_while(|byte| *byte == 0).collect()
}

fn reason(code: ReasonCode) -> Option<RevocationReason> {
    match code {
        ReasonCode::Unspecified => Some(RevocationReason::Unspecified),
        ReasonCode::KeyCompromise => Some(RevocationReason::KeyCompromise),
        ReasonCode::Superseded => Some(RevocationReason::Superseded),
        ReasonCode::CessationOfOperation => Some(RevocationReason::CessationOfOperation),
        // Not written here.
        _ => None,
    }
}

fn now() -> anyhow::Result<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(swarm_store::unix_now()).context("the clock is beyond all dates")
}
