//! `cell sign`: add a signature to an artifact's signature file.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::json;
use swarm_artifact::{KeyId, SignatureFile, private_key_from_pem};
use swarm_store::{hash_archive, read_signatures, signature_path};

use super::keys::signer_name;
use crate::Outcome;
use crate::output::{print_json, read, replace};

/// Sign an artifact: adds a signature to ARTIFACT.sig, beside those of other signers.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The archive (.tar.gz).
    #[arg(long, value_name = "FILE")]
    artifact: PathBuf,
    /// Private key in PEM, as `cell keys generate` makes it; only its owner may be able to read the file.
    #[arg(long, value_name = "FILE")]
    private_key: PathBuf,
    /// Name of the signer, for people who read the signature file.
    #[arg(long, value_name = "NAME", value_parser = signer_name)]
    signer_id: String,
    /// The signature file [default: ARTIFACT.sig].
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// Drop the signatures that the file holds already (they belong to an earlier archive of this name).
    #[arg(long)]
    replace: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    refuse_open_file(&args.private_key)?;
    let pem = read(&args.private_key)?;
    let key = private_key_from_pem(&pem).with_context(|| format!("'{}'", args.private_key.display()))?;
    let output = args.signature.clone().unwrap_or_else(|| signature_path(&args.artifact));
    let mut signatures =
        if args.replace || !output.exists() { SignatureFile::empty() } else { read_signatures(&output)? };
    let digest = hash_archive(&args.artifact)?;
    signatures.sign(&digest.signing_digest(), &key, &args.signer_id);
    replace(&output, &signatures.to_yaml())?;

    let (key_id, count) = (KeyId::of(&key.verifying_key()), signatures.signatures.len());
    if args.json {
        print_json(
            &json!({"artifact": digest.id, "key_id": key_id, "signature": output, "signatures": count}),
        )?;
    } else {
        println!("artifact   {}", digest.id);
        println!("signed by  {} with key {key_id}", args.signer_id);
        println!("written    {} ({count} signatures)", output.display());
    }
    Ok(Outcome::Done)
}

fn refuse_open_file(path: &Path) -> anyhow::Result<()> {
    let metadata = std::fs::metadata(path).with_context(|| format!("cannot read '{}'", path.display()))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let path = path.display();
        bail!(
            "'{path}' has mode {mode:04o}: others can read or change this private key; run `chmod 600 {path}`"
        );
    }
    Ok(())
}
