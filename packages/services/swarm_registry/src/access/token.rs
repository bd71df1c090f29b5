//! Bearer tokens: JSON Web Tokens (RFC 7519) signed with Ed25519, and nothing else.
//!
//! A token is believed when all of this holds:
//! 1. three parts; the header says `"alg":"EdDSA"` and names a key of the file (`kid`), and demands nothing (`crit`);
//! 2. that key signed header and claims;
//! 3. `aud` names this registry, `exp` lies ahead and at most [`MAX_LIFE_S`] ahead, `nbf` (where given) does not;
//! 4. the roles it claims are known, and the key file lets this key give them.
//!
//! The algorithm comes from the key, never from the token: there is no second algorithm to be confused with.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, VerifyingKey};
use serde::Deserialize;
use swarm_artifact::public_key_from_pem;
use swarm_yaml::{Cursor, Mistakes, moment};

use super::{Caller, Role};

/// Clocks of two machines differ by so much, in seconds.
const LEEWAY_S: i64 = 30;
/// A token that lives longer is a password, in seconds.
const MAX_LIFE_S: i64 = 30 * 24 * 3600;
const MAX_BYTES: usize = 4096;

/// The name under which a registry is meant in `aud`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience(pub String);

/// The keys that may sign tokens, and the roles that each may give.
///
/// ```yaml
/// keys:
/// - {id: ops-2026, public_key: "-----BEGIN PUBLIC KEY-----\n...", roles: [admin, engineer, operator, auditor]}
/// ```
#[derive(Clone, Debug)]
pub struct TokenKeys {
    keys: BTreeMap<String, (VerifyingKey, BTreeSet<Role>)>,
}

/// Why a file of keys cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file of token keys cannot be used: {mistakes}")]
pub struct KeyFileError {
    pub mistakes: Mistakes,
}

/// Why a token is not believed. No variant holds the token, or any part of it that its sender did not sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token cannot be read: {0}")]
    Malformed(&'static str),
    #[error("the token is signed with an algorithm that is refused; expected EdDSA")]
    WrongAlgorithm,
    #[error("the token names a key that this registry does not know")]
    UnknownKey,
    #[error("the signature of the token does not match its contents")]
    BadSignature,
    #[error("the token is for another service; expected the audience '{expected}'")]
    WrongAudience { expected: String },
    #[error("the token expired at {}, and it is {}", moment(*expired_unix), moment(*now_unix))]
    Expired { expired_unix: i64, now_unix: i64 },
    #[error("the token is valid from {}, and it is {}; check the clocks", moment(*from_unix), moment(*now_unix))]
    NotYetValid { from_unix: i64, now_unix: i64 },
    #[error("the token is valid until {}, longer than the {} days that a token may live", moment(*until_unix), MAX_LIFE_S / 86_400)]
    TooLong { until_unix: i64 },
    #[error("the token claims the role '{role}', which its key may not give")]
    RoleNotGiven { role: String },
}

impl TokenError {
    /// A short, stable name of the variant, for scripts and counters.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed_token",
            Self::WrongAlgorithm => "wrong_token_algorithm",
            Self::UnknownKey => "unknown_token_key",
            Self::BadSignature => "bad_token_signature",
            Self::WrongAudience { .. } => "wrong_token_audience",
            Self::Expired { .. } => "expired_token",
            Self::NotYetValid { .. } => "token_not_yet_valid",
            Self::TooLong { .. } => "token_lives_too_long",
            Self::RoleNotGiven { .. } => "token_role_not_given",
        }
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
    #[serde(default)]
    crit: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    aud: OneOrMany,
    exp: i64,
    #[serde(default)]
    nbf: Option<i64>,
    roles: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn has(&self, name: &str) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::Many(many) => many.iter().any(|one| one == name),
        }
    }
}

impl TokenKeys {
    pub const MAX_BYTES: u64 = 1024 * 1024;

    pub fn parse(text: &str) -> Result<Self, KeyFileError> {
        let keys = swarm_yaml::read(text, |document| {
            let [keys] = document.fields(["keys"])?;
            let read = keys.required("a list of keys", |list| list.list("a list of keys", read_key))?;
            let mut keys = BTreeMap::new();
            for (id, key) in read {
                if keys.insert(id.clone(), key).is_some() {
                    document.note(format!("the key '{id}' is listed twice"));
                }
            }
            if keys.is_empty() {
                document.note("no keys; nobody could sign in");
            }
            Some(keys)
        });
        keys.map(|keys| Self { keys }).map_err(|mistakes| KeyFileError { mistakes })
    }

    /// Who presents this token. The numbers are those of the module's list.
    pub fn check(&self, token: &str, audience: &Audience, now_unix: i64) -> Result<Caller, TokenError> {
        // 1.
        if token.len() > MAX_BYTES {
            return Err(TokenError::Malformed("it is longer than 4096 bytes"));
        }
        let (signed, signature) =
            token.rsplit_once('.').ok_or(TokenError::Malformed("it has no three parts"))?;
        let (header, claims) =
            signed.split_once('.').ok_or(TokenError::Malformed("it has no three parts"))?;
        let header: Header = part(header, "its header is not JSON with alg and kid")?;
        if header.alg != "EdDSA" {
            return Err(TokenError::WrongAlgorithm);
        }
        if header.crit.is_some() {
            return Err(TokenError::Malformed("its header demands extensions (crit)"));
        }
        let (key, may_give) = self.keys.get(&header.kid).ok_or(TokenError::UnknownKey)?;
        // 2.
        let signature = decode(signature).ok_or(TokenError::Malformed("its signature is not base64url"))?;
        let signature = Signature::from_slice(&signature).map_err(|_| TokenError::BadSignature)?;
        key.verify_strict(signed.as_bytes(), &signature).map_err(|_| TokenError::BadSignature)?;
        // 3.
        let claims: Claims = part(claims, "its claims are not JSON with sub, aud, exp and roles")?;
        if !claims.aud.has(&audience.0) {
            return Err(TokenError::WrongAudience { expected: audience.0.clone() });
        }
        if now_unix > claims.exp.saturating_add(LEEWAY_S) {
            return Err(TokenError::Expired { expired_unix: claims.exp, now_unix });
        }
        if claims.exp.saturating_sub(now_unix) > MAX_LIFE_S {
            return Err(TokenError::TooLong { until_unix: claims.exp });
        }
        if let Some(from_unix) = claims.nbf.filter(|from| from.saturating_sub(LEEWAY_S) > now_unix) {
            return Err(TokenError::NotYetValid { from_unix, now_unix });
        }
        // 4.
        let name = claims.sub;
        if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
            return Err(TokenError::Malformed("its sub is not a name of 1 to 128 bytes"));
        }
        let given = |role: String| match role.parse() {
            Ok(known) if may_give.contains(&known) => Ok(known),
            _ => Err(TokenError::RoleNotGiven { role: role.escape_debug().take(64).collect() }),
        };
        Ok(Caller { name, roles: claims.roles.into_iter().map(given).collect::<Result<_, _>>()? })
    }
}

fn read_key(entry: &Cursor<'_>) -> Option<(String, (VerifyingKey, BTreeSet<Role>))> {
    let [id, key, roles] = entry.fields(["id", "public_key", "roles"])?;
    let id = id.required("the key's id", Cursor::text);
    let key = key.required("an Ed25519 public key in PEM", |field| {
        let pem = field.text()?;
        public_key_from_pem(&pem).map_err(|error| field.note(error)).ok()
    });
    let roles =
        roles.required("the roles that the key may give", |list| list.list("a list of roles", Cursor::parse));
    Some((id?, (key?, roles?.into_iter().collect())))
}

fn part<T: for<'de> Deserialize<'de>>(text: &str, problem: &'static str) -> Result<T, TokenError> {
    let bytes = decode(text).ok_or(TokenError::Malformed(problem))?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed(problem))
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};
    use serde_json::{Value, json};
    use swarm_artifact::public_key_to_pem;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn keys() -> TokenKeys {
        let pem = public_key_to_pem(&key(1).verifying_key()).unwrap();
        let text = json!({"keys": [{"id": "ops", "public_key": pem, "roles": ["engineer", "operator"]}]});
        TokenKeys::parse(&text.to_string()).unwrap()
    }

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn encode(value: &Value) -> String {
        URL_SAFE_NO_PAD.encode(value.to_string())
    }

    fn sign(header: &Value, claims: &Value, key: &SigningKey) -> String {
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).to_bytes());
        format!("{signed}.{signature}")
    }

    fn header() -> Value {
        json!({"alg": "EdDSA", "kid": "ops", "typ": "JWT"})
    }

    fn claims() -> Value {
        json!({"sub": "ada", "aud": "registry", "exp": NOW + 60, "roles": ["engineer"]})
    }

    fn with(mut value: Value, name: &str, to: Value) -> Value {
        value[name] = to;
        value
    }

    fn check(token: &str) -> Result<Caller, TokenError> {
        keys().check(token, &Audience("registry".to_owned()), NOW)
    }

    fn code(token: &str) -> &'static str {
        check(token).unwrap_err().code()
    }

    #[test]
    fn a_good_token_says_who_asks_and_in_which_role() {
        let ada = Caller { name: "ada".to_owned(), roles: BTreeSet::from([Role::Engineer]) };
        assert_eq!(check(&sign(&header(), &claims(), &key(1))), Ok(ada.clone()));
        let many = with(claims(), "aud", json!(["other", "registry"]));
        assert_eq!(check(&sign(&header(), &many, &key(1))), Ok(ada.clone()));
        let skewed = with(with(claims(), "exp", json!(NOW - LEEWAY_S)), "nbf", json!(NOW + LEEWAY_S));
        assert_eq!(check(&sign(&header(), &skewed, &key(1))), Ok(ada));
    }

    #[test]
    fn the_algorithm_is_never_the_tokens_choice() {
        for alg in ["none", "None", "HS256", "ES256", "EdDSA ", ""] {
            let header = with(header(), "alg", json!(alg));
            assert_eq!(code(&sign(&header, &claims(), &key(1))), "wrong_token_algorithm", "{alg}");
            let unsigned = format!("{}.{}.", encode(&header), encode(&claims()));
            assert_eq!(code(&unsigned), "wrong_token_algorithm", "{alg}");
        }
        let unsigned = format!("{}.{}.", encode(&header()), encode(&claims()));
        assert_eq!(code(&unsigned), "bad_token_signature");
    }

    #[test]
    fn another_key_and_changed_claims_are_refused() {
        assert_eq!(code(&sign(&header(), &claims(), &key(2))), "bad_token_signature");
        let other = with(header(), "kid", json!("../ops"));
        assert_eq!(code(&sign(&other, &claims(), &key(1))), "unknown_token_key");
        let token = sign(&header(), &claims(), &key(1));
        let parts: Vec<_> = token.split('.').collect();
        let raised = encode(&with(claims(), "sub", json!("root")));
        assert_eq!(code(&format!("{}.{raised}.{}", parts[0], parts[2])), "bad_token_signature");
    }

    #[test]
    fn audience_and_time_are_held_to() {
        let refused =
            |name: &str, value: Value| code(&sign(&header(), &with(claims(), name, value), &key(1)));
        assert_eq!(refused("aud", json!("coordinator")), "wrong_token_audience");
        assert_eq!(refused("aud", json!([])), "wrong_token_audience");
        assert_eq!(refused("exp", json!(NOW - LEEWAY_S - 1)), "expired_token");
        assert_eq!(refused("exp", json!(i64::MIN)), "expired_token");
        assert_eq!(refused("exp", json!(i64::MAX)), "token_lives_too_long");
        assert_eq!(refused("nbf", json!(NOW + LEEWAY_S + 1)), "token_not_yet_valid");
    }

    #[test]
    fn a_key_gives_only_its_own_roles() {
        let refused =
            |role: &str| code(&sign(&header(), &with(claims(), "roles", json!(["operator", role])), &key(1)));
        assert_eq!(refused("admin"), "token_role_not_given");
        assert_eq!(refused("*"), "token_role_not_given");
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let without = |name: &str| {
            let mut claims = claims();
            claims.as_object_mut().unwrap().remove(name);
            code(&sign(&header(), &claims, &key(1)))
        };
        for name in ["sub", "aud", "exp", "roles"] {
            assert_eq!(without(name), "malformed_token", "{name}");
        }
        let long = "a".repeat(5000);
        for text in ["", ".", "..", "a.b.c", "a.b.c.d", "\u{0}.\u{0}.\u{0}", &long] {
            assert_eq!(code(text), "malformed_token", "{text}");
        }
        let critical = with(header(), "crit", json!(["exp"]));
        assert_eq!(code(&sign(&critical, &claims(), &key(1))), "malformed_token");
    }

    #[test]
    fn all_mistakes_of_a_key_file_are_said_at_once() {
        let text = "keys:\n- {id: a, public_key: nonsense, roles: [king]}\n- {id: b, roles: []}\n";
        let error = TokenKeys::parse(text).unwrap_err().to_string();
        for part in ["public_key", "king", "line 3"] {
            assert!(error.contains(part), "{part} in {error}");
        }
        assert!(TokenKeys::parse("keys: []").is_err());
    }
}
