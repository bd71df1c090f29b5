//! `csactl token`: what people sign in with. A key of the operator signs tokens; the registry knows its public half, and which
//! roles it may give.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Subcommand, ValueEnum};
use ed25519_dalek::Signer as _;
use serde_json::json;
use swarm_artifact::public_key_to_pem;
use swarm_yaml::{moment, quoted};

use crate::files;
use crate::{Context, Outcome};

/// What a person is to the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    Admin,
    Engineer,
    Operator,
    Auditor,
}

impl Role {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Engineer => "engineer",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
        }
    }
}

/// Tokens that people sign in with.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a key that signs tokens, and add it to the registry's file of token keys (TOKEN_KEYS_PATH).
    Key {
        /// Name of the key, such as ops-2027.
        #[arg(long, value_name = "NAME", value_parser = name)]
        id: String,
        /// A role that the key may give; may be given several times.
        #[arg(long = "role", value_name = "ROLE", required = true)]
        roles: Vec<Role>,
        /// Folder for the key: NAME.pem, mode 0600.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// The file of token keys; made if missing.
        #[arg(long, value_name = "FILE")]
        token_keys: PathBuf,
    },
    /// Sign a token and print it.
    Issue {
        /// The key (PEM, mode 0600).
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// The key's name in the registry's file [default: the name of its file].
        #[arg(long, value_name = "NAME", value_parser = name)]
        key_id: Option<String>,
        /// Who the token is for; the audit log names this.
        #[arg(long, value_name = "NAME")]
        subject: String,
        /// What the person may be; may be given several times.
        #[arg(long = "role", value_name = "ROLE", required = true)]
        roles: Vec<Role>,
        /// For how many hours; the registry takes 30 days at most.
        #[arg(long, value_name = "HOURS", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=720))]
        hours: u16,
        /// The registry that is meant (its TOKEN_AUDIENCE).
        #[arg(long, value_name = "NAME", default_value = "swarm_registry")]
        audience: String,
    },
}

pub(crate) fn run(command: &Token, context: &Context) -> anyhow::Result<Outcome> {
    match command {
        Token::Key { id, roles, out, token_keys } => {
            files::folder(out)?;
            let known = if token_keys.exists() { files::read(token_keys)? } else { "keys:\n".to_owned() };
            let path = out.join(format!("{id}.pem"));
            with_key(&known, id, roles, "")?; // refused before the key is made
            let key = files::new_key(&path)?;
            let pem = public_key_to_pem(&key.verifying_key())?;
            files::replace(token_keys, with_key(&known, id, roles, &pem)?.as_bytes())?;
            context.output.show(&json!({"id": id, "private_key": path, "token_keys": token_keys}), || {
                format!(
                    "private key  {} (keep it where only its holder can read it)\ntoken keys   {} (the registry's TOKEN_KEYS_PATH; \
                     SIGHUP has it read again)\n",
                    path.display(),
                    token_keys.display()
                )
            })?;
        }
        Token::Issue { key, key_id, subject, roles, hours, audience } => {
            if subject.is_empty() || subject.len() > 128 || subject.chars().any(char::is_control) {
                bail!("--subject: expected a name of 1 to 128 bytes without control characters");
            }
            let stem = key.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
            let kid = key_id.clone().or(stem).context("the key's file has no plain name; give --key-id")?;
            let key = files::read_key(key)?;
            let now = swarm_store::unix_now();
            let expires = now + i64::from(*hours) * 3600;
            let roles: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
            let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let signed = format!(
                "{}.{}",
                part(json!({"alg": "EdDSA", "typ": "JWT", "kid": kid})),
                part(
                    json!({"sub": subject, "aud": audience, "iat": now, "nbf": now, "exp": expires, "roles": roles})
                )
            );
            let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).to_bytes());
            let token = format!("{signed}.{signature}");
            eprintln!("good until {}", moment(expires));
            context.output.show(&json!({"token": token, "expires": moment(expires)}), || token.clone())?;
        }
    }
    Ok(Outcome::Done)
}

/// The file with one key more, where it still is one.
fn with_key(known: &str, id: &str, roles: &[Role], pem: &str) -> anyhow::Result<String> {
    let roles: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    let margin = if known.ends_with('\n') { "" } else { "\n" };
    let entry =
        format!("- {{id: {}, public_key: {}, roles: [{}]}}\n", quoted(id), quoted(pem), roles.join(", "));
    let text = format!("{known}{margin}{entry}");
    let ids = swarm_yaml::read(&text, |document| {
        let [keys] = document.fields(["keys"])?;
        keys.required("a list of keys", |list| {
            list.list("a list of keys", |key| {
                let [id, ..] = key.fields(["id", "public_key", "roles"])?;
                id.required("the key's id", swarm_yaml::Cursor::text)
            })
        })
    });
    let ids = ids.context("the file of token keys would not be usable and is not written")?;
    if ids.iter().filter(|other| *other == id).count() != 1 {
        bail!("the file of token keys has a key '{id}' already; choose another --id");
    }
    Ok(text)
}

/// A key's name is also the name of a file.
fn name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if text.is_empty() || text.len() > 64 || text.starts_with('.') || !text.chars().all(plain) {
        return Err("expected a name of letters, digits, '_', '-' and '.', such as ops-2027".to_owned());
    }
    Ok(text.to_owned())
}
