//! `cell keys`: make a key pair, make or change a trust file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use ed25519_dalek::SigningKey;
use serde_json::json;
use swarm_artifact::{
    KeyId, KeyRole, Trust, TrustedKey, private_key_to_pem, public_key_from_pem, public_key_to_pem,
};
use swarm_store::read_trust;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::Outcome;
use crate::output::{Access, create, print_json, read, replace};

/// Make key pairs and say whom a cell trusts.
#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    Generate(Generate),
    Trust(AddToTrust),
    Revoke(Revoke),
}

/// Make an Ed25519 key pair: SIGNER.pem (private, readable by its owner only) and SIGNER.pub.pem.
///
/// The private key stays with its signer. The public key goes to every cell, into its trust file (`cell keys trust`).
#[derive(Debug, Args)]
pub(crate) struct Generate {
    /// Folder for the two files; made if missing. Existing files are never overwritten.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Name of the person, site or machine that will hold the key.
    #[arg(long, value_name = "NAME", value_parser = signer_name)]
    signer: String,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Make a trust file, or add keys to it.
///
/// The trust file says which keys a cell believes, and how many distinct signers an artifact needs.
#[derive(Debug, Args)]
pub(crate) struct AddToTrust {
    /// The trust file; made if missing.
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    /// A public key in PEM, as `cell keys generate` makes it.
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// Who holds the key. Several keys of one signer count once.
    #[arg(long, value_name = "NAME", value_parser = signer_name, requires = "public_key", required_unless_present = "threshold")]
    signer: Option<String>,
    /// What the key may sign (artifact, registry); may be given several times.
    #[arg(long = "role", value_name = "ROLE", default_value = "artifact")]
    roles: Vec<KeyRole>,
    /// First moment in which its signatures count, such as 2026-01-01T00:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = unix_time)]
    not_before: Option<i64>,
    /// Last moment in which its signatures count.
    #[arg(long, value_name = "TIME", value_parser = unix_time)]
    not_after: Option<i64>,
    /// How many distinct signers an artifact needs [default: what the file says, 1 in a new file].
    #[arg(long, value_name = "COUNT")]
    threshold: Option<usize>,
}

/// Mark a key as revoked: its signatures stop counting at once, also on artifacts that are deployed.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    /// Id of the key: the SHA-256 of its public half.
    #[arg(long, value_name = "SHA256")]
    key_id: KeyId,
}

pub(crate) fn run(command: &Keys) -> anyhow::Result<Outcome> {
    match command {
        Keys::Generate(args) => generate(args)?,
        Keys::Trust(args) => add_to_trust(args)?,
        Keys::Revoke(args) => revoke(args)?,
    }
    Ok(Outcome::Done)
}

fn generate(args: &Generate) -> anyhow::Result<()> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)
        .map_err(|error| anyhow::anyhow!("no random numbers from the system: {error}"))?;
    let key = SigningKey::from_bytes(&secret);
    let key_id = KeyId::of(&key.verifying_key());
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot create '{}'", args.out.display()))?;
    let private = args.out.join(format!("{}.pem", args.signer));
    let public = args.out.join(format!("{}.pub.pem", args.signer));
    if public.exists() {
        bail!(
            "'{}' exists already and is not overwritten; choose another --signer or --out",
            public.display()
        );
    }
    create(&private, &private_key_to_pem(&key)?, Access::OwnerOnly)?;
    create(&public, &public_key_to_pem(&key.verifying_key())?, Access::Everyone)?;
    if args.json {
        return print_json(&json!({"key_id": key_id, "private_key": private, "public_key": public}));
    }
    println!("key id       {key_id}");
    println!("private key  {} (keep it where only {} can read it)", private.display(), args.signer);
    println!("public key   {} (give it to the cells, `cell keys trust`)", public.display());
    Ok(())
}

fn add_to_trust(args: &AddToTrust) -> anyhow::Result<()> {
    let mut trust =
        if args.trust.exists() { read_trust(&args.trust)? } else { Trust { threshold: 1, keys: Vec::new() } };
    trust.threshold = args.threshold.unwrap_or(trust.threshold);
    if let (Some(path), Some(signer)) = (&args.public_key, &args.signer) {
        let key = public_key_from_pem(&read(path)?).with_context(|| format!("'{}'", path.display()))?;
        let added = TrustedKey {
            key,
            signer: signer.clone(),
            roles: args.roles.iter().copied().collect::<BTreeSet<_>>(),
            not_before_unix: args.not_before,
            not_after_unix: args.not_after,
            revoked: false,
        };
        if trust.key(&added.id()).is_some() {
            bail!("key {} is in '{}' already", added.id(), args.trust.display());
        }
        trust.keys.push(added);
    }
    write_trust(&args.trust, &trust)
}

fn revoke(args: &Revoke) -> anyhow::Result<()> {
    let mut trust = read_trust(&args.trust)?;
    let Some(key) = trust.keys.iter_mut().find(|key| key.id() == args.key_id) else {
        bail!("key {} is not in '{}'", args.key_id, args.trust.display());
    };
    key.revoked = true;
    write_trust(&args.trust, &trust)
}

/// Writes the file only if it can be read back: a cell must not be left without a usable trust file.
fn write_trust(path: &Path, trust: &Trust) -> anyhow::Result<()> {
    let text = trust.to_yaml();
    let reread = Trust::parse(&text)
        .with_context(|| format!("'{}' would not be usable and is not written", path.display()))?;
    replace(path, &text)?;
    let revoked = reread.keys.iter().filter(|key| key.revoked).count();
    println!(
        "{}: {} keys ({revoked} revoked), threshold {}",
        path.display(),
        reread.keys.len(),
        reread.threshold
    );
    Ok(())
}

/// A signer's name is also the name of a file.
pub(crate) fn signer_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if text.is_empty() || text.len() > 64 || !text.chars().all(plain) {
        return Err("expected a name of letters, digits, '_' and '-', such as site_a".to_owned());
    }
    Ok(text.to_owned())
}

fn unix_time(text: &str) -> Result<i64, String> {
    let time = OffsetDateTime::parse(text, &Rfc3339);
    time.map(OffsetDateTime::unix_timestamp)
        .map_err(|_| "expected a time such as 2027-01-01T00:00:00Z".to_owned())
}
