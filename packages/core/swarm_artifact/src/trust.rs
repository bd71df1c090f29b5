//! The trust file: which keys this cell believes, and how many signers an artifact needs.
//!
//! ```yaml
//! schema_version: 1
//! threshold: 2                      # distinct signers an artifact needs
//! keys:
//! - key_id: 9f86d081...             # SHA-256 of the public key, 64 hex digits
//!   public_key: "base64 of the 32 bytes"
//!   signer: site_a                  # several keys of one signer count once
//!   roles: [artifact]               # what the key may sign
//!   not_before: 2026-01-01T00:00:00Z    # optional
//!   not_after: 2027-01-01T00:00:00Z     # optional
//!   revoked: false                  # optional
//! ```
//!
//! Expiry limits when an artifact may come in. Revocation acts at once, also on what is in the store already: a revoked
//! key may be in wrong hands, and nobody can tell what it signed before.

use std::collections::BTreeSet;
use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::VerifyingKey;
use swarm_yaml::{Cursor, Mistakes, quoted};

use crate::keys::KeyId;

/// The pinned trust of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// Distinct signers that an artifact needs; at least 1.
    pub threshold: usize,
    pub keys: Vec<TrustedKey>,
}

/// One key of the trust file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    pub key: VerifyingKey,
    /// The person, site or machine that holds the key. Several keys of one signer count once.
    pub signer: String,
    pub roles: BTreeSet<KeyRole>,
    /// First second in which the key's signatures count, in seconds since 1970-01-01 UTC.
    pub not_before_unix: Option<i64>,
    /// Last second in which the key's signatures count.
    pub not_after_unix: Option<i64>,
    pub revoked: bool,
}

/// What a key may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyRole {
    /// Skill artifacts.
    Artifact,
    /// Metadata of the registry; does not count for artifacts.
    Registry,
}

impl KeyRole {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Artifact => "artifact",
            Self::Registry => "registry",
        }
    }
}

impl fmt::Display for KeyRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeyRole {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "artifact" => Ok(Self::Artifact),
            "registry" => Ok(Self::Registry),
            _ => Err(format!("expected 'artifact' or 'registry', found '{text}'")),
        }
    }
}

/// Why a trust file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the trust file cannot be used: {mistakes}")]
pub struct TrustError {
    pub mistakes: Mistakes,
}

impl TrustedKey {
    pub fn id(&self) -> KeyId {
        KeyId::of(&self.key)
    }
}

impl Trust {
    /// Largest file worth reading.
    pub const MAX_BYTES: u64 = 1024 * 1024;

    pub fn parse(text: &str) -> Result<Self, TrustError> {
        swarm_yaml::read(text, |document| {
            let [schema, threshold, keys] = document.fields(["schema_version", "threshold", "keys"])?;
            let schema = schema.required("1", |at| at.schema(1));
            let keys = keys.required("a list of keys", read_keys);
            let threshold = threshold
                .required("how many signers an artifact needs", |at| read_threshold(at, keys.as_deref()));
            schema?;
            Some(Self { threshold: threshold?, keys: keys? })
        })
        .map_err(|mistakes| TrustError { mistakes })
    }

    pub fn key(&self, id: &KeyId) -> Option<&TrustedKey> {
        self.keys.iter().find(|key| key.id() == *id)
    }

    pub fn to_yaml(&self) -> String {
        let mut text = format!("schema_version: 1\nthreshold: {}\nkeys:\n", self.threshold);
        for key in &self.keys {
            let roles: Vec<_> = key.roles.iter().map(|role| role.as_str()).collect();
            let _ = writeln!(text, "- key_id: \"{}\"", key.id());
            let _ = writeln!(text, "  public_key: \"{}\"", BASE64.encode(key.key.as_bytes()));
            let _ = writeln!(text, "  signer: {}", quoted(&key.signer));
            let _ = writeln!(text, "  roles: [{}]", roles.join(", "));
            for (name, limit) in [("not_before", key.not_before_unix), ("not_after", key.not_after_unix)] {
                if let Some(unix) = limit {
                    let _ = writeln!(text, "  {name}: {}", swarm_yaml::moment(unix));
                }
            }
            let _ = writeln!(text, "  revoked: {}", key.revoked);
        }
        text
    }
}

/// A number of signers that the keys can reach.
fn read_threshold(at: &Cursor<'_>, keys: Option<&[TrustedKey]>) -> Option<usize> {
    let count = usize::try_from(at.integer(0..)?).unwrap_or(usize::MAX);
    if count == 0 {
        return at.wrong("expected at least 1; with 0 every unsigned artifact would be believed");
    }
    let may_sign = |key: &&TrustedKey| key.roles.contains(&KeyRole::Artifact);
    let signers = keys?.iter().filter(may_sign).map(|key| &key.signer).collect::<BTreeSet<_>>().len();
    if count > signers {
        return at.wrong(format!("{count} signers are asked for, but only {signers} may sign artifacts"));
    }
    Some(count)
}

fn read_keys(list: &Cursor<'_>) -> Option<Vec<TrustedKey>> {
    let mut ids = BTreeSet::new();
    list.list("a list of keys", |item| read_key(item, &mut ids))
}

/// One key; `listed` are those before it.
fn read_key(item: &Cursor<'_>, listed: &mut BTreeSet<KeyId>) -> Option<TrustedKey> {
    let [key_id, public_key, signer, roles, not_before, not_after, revoked] =
        item.fields(["key_id", "public_key", "signer", "roles", "not_before", "not_after", "revoked"])?;
    let key = public_key.required("the base64 of the public key", read_public_key);
    let key_id = key_id.required("the SHA-256 of the public key", |at| match (at.parse::<KeyId>()?, &key) {
        (stated, Some(key)) if stated != KeyId::of(key) => {
            at.wrong(format!("does not belong to this public_key, whose id is {}", KeyId::of(key)))
        }
        _ => Some(()),
    });
    if let Some(id) = key.as_ref().map(KeyId::of)
        && !listed.insert(id)
    {
        item.note(format!("key {id} is listed twice"));
    }
    let signer =
        signer.required("who holds the key", |at| at.text_that(|text| !text.trim().is_empty(), "a name"));
    let roles = roles.required("what the key may sign", |at| {
        Some(at.list("a list of roles", Cursor::parse)?.into_iter().collect())
    });
    let not_before_unix = not_before.optional(None, |at| at.moment().map(Some));
    let not_after_unix = not_after.optional(None, |at| match (not_before_unix.flatten(), at.moment()?) {
        (Some(first), last) if last < first => {
            at.wrong("lies before not_before: the key would never be valid")
        }
        (_, last) => Some(Some(last)),
    });
    let revoked = revoked.optional(false, Cursor::boolean);
    key_id?;
    Some(TrustedKey {
        key: key?,
        signer: signer?,
        roles: roles?,
        not_before_unix: not_before_unix?,
        not_after_unix: not_after_unix?,
        revoked: revoked?,
    })
}

fn read_public_key(value: &Cursor<'_>) -> Option<VerifyingKey> {
    let bytes = BASE64.decode(value.text()?).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let Some(bytes) = bytes else {
        return value.wrong("expected the base64 of 32 bytes (an Ed25519 public key)");
    };
    match VerifyingKey::from_bytes(&bytes) {
        // A key of small order verifies signatures that nobody made.
        Ok(key) if !key.is_weak() => Some(key),
        _ => value.wrong("these 32 bytes are not a usable Ed25519 public key"),
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;

    fn key(seed: u8, signer: &str) -> TrustedKey {
        TrustedKey {
            key: SigningKey::from_bytes(&[seed; 32]).verifying_key(),
            signer: signer.to_owned(),
            roles: BTreeSet::from([KeyRole::Artifact]),
            not_before_unix: Some(1_767_225_600),
            not_after_unix: Some(1_798_761_599),
            revoked: seed == 2,
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let trust = Trust { threshold: 2, keys: vec![key(1, "site_a"), key(2, "site: \"b\"")] };
        assert_eq!(Trust::parse(&trust.to_yaml()).unwrap(), trust);
        assert!(trust.to_yaml().contains("not_before: 2026-01-01T00:00:00Z"), "{}", trust.to_yaml());
    }

    #[test]
    fn all_mistakes_are_listed() {
        let good = key(1, "a");
        let (id, public) = (good.id(), BASE64.encode(good.key.as_bytes()));
        let other = key(2, "b").id();
        let text = format!(
            "schema_version: 1\nthreshold: 0\nkeys:\n\
             - {{key_id: {other}, public_key: \"{public}\", signer: a, roles: [artifact]}}\n\
             - {{key_id: {id}, public_key: \"{public}\", signer: a, roles: [cook], not_after: tomorrow}}\n\
             - {{key_id: {id}, public_key: \"AAAA\", signer: \"\", roles: [], revoked: perhaps}}\n"
        );
        assert_eq!(
            Trust::parse(&text).unwrap_err().to_string(),
            format!(
                "the trust file cannot be used: 8 mistakes\n  \
                 line 2, column 12: threshold: expected at least 1; with 0 every unsigned artifact would be believed\n  \
                 line 4, column 12: keys[0].key_id: does not belong to this public_key, whose id is {id}\n  \
                 line 5, column 3: keys[1]: key {id} is listed twice\n  \
                 line 5, column 157: keys[1].roles[0]: expected 'artifact' or 'registry', found 'cook'\n  \
                 line 5, column 175: keys[1].not_after: expected a time such as 2027-01-01T00:00:00Z (RFC 3339), found 'tomorrow'\n  \
                 line 6, column 90: keys[2].public_key: expected the base64 of 32 bytes (an Ed25519 public key)\n  \
                 line 6, column 106: keys[2].signer: expected a name, found ''\n  \
                 line 6, column 130: keys[2].revoked: expected true or false, found 'perhaps'"
            )
        );
    }

    #[test]
    fn a_threshold_that_nobody_can_reach_is_a_mistake() {
        let mut trust = Trust { threshold: 2, keys: vec![key(1, "a"), key(3, "a")] };
        let error = Trust::parse(&trust.to_yaml()).unwrap_err().to_string();
        assert!(
            error.ends_with("threshold: 2 signers are asked for, but only 1 may sign artifacts"),
            "{error}"
        );
        trust.keys[1].signer = "b".to_owned();
        trust.keys[1].roles = BTreeSet::from([KeyRole::Registry]);
        assert!(Trust::parse(&trust.to_yaml()).is_err());
    }

    #[test]
    fn a_key_that_ends_before_it_begins_is_a_mistake() {
        let mut never = key(1, "a");
        never.not_after_unix = Some(1_767_225_599);
        let error =
            Trust::parse(&Trust { threshold: 1, keys: vec![never] }.to_yaml()).unwrap_err().to_string();
        assert!(
            error.ends_with("keys[0].not_after: lies before not_before: the key would never be valid"),
            "{error}"
        );
    }

    #[test]
    fn a_key_of_small_order_is_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        let (id, public) = (crate::Sha256Sum::of(&identity), BASE64.encode(identity));
        let text = format!(
            "schema_version: 1\nthreshold: 1\nkeys:\n- {{key_id: {id}, public_key: {public}, signer: a, roles: [artifact]}}\n"
        );
        let error = Trust::parse(&text).unwrap_err().to_string();
        assert!(
            error.ends_with("keys[0].public_key: these 32 bytes are not a usable Ed25519 public key"),
            "{error}"
        );
    }
}
