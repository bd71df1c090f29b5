//! Which of the two ways to log in a camera wants, and what is sent then.
//!
//! ONVIF has HTTP Digest (RFC 7616) and, older, the WS-Security UsernameToken inside the envelope. A camera says which by how
//! it refuses: 401 with a Digest challenge, or a fault. Cameras exist that offer Digest and take only the token, so the token
//! is tried after Digest failed. Basic would show the password to everyone on the wire; it is never sent.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http_auth::DigestClient;
use sha1::{Digest as _, Sha1};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::credentials::Credentials;
use crate::error::{Failure, Fault, Refusal};
use crate::http::Reply;
use crate::xml::escape;

const OASIS: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss";

/// The way that is taken.
#[derive(Default)]
pub(crate) enum Login {
    #[default]
    Open,
    Digest(Box<DigestClient>),
    Token,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::Digest(_) => "Digest",
            Self::Token => "Token",
        })
    }
}

/// Which ways were tried in vain for one operation. A way that an earlier operation left open does not count: its nonce may
/// have expired, or the camera's clock been set since.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tried {
    pub(crate) digest: bool,
    pub(crate) token: bool,
}

/// How to go on after a refusal.
pub(crate) fn next(
    refusal: &Refusal,
    challenges: &[String],
    tried: Tried,
    credentials: Option<&Credentials>,
) -> Result<Login, Failure> {
    let Some(credentials) = credentials else { return Err(Failure::CredentialsNeeded(refusal.clone())) };
    if !tried.digest
        && let Some(client) = digest(challenges)
    {
        return Ok(Login::Digest(Box::new(client)));
    }
    let schemes = schemes(challenges);
    if !tried.digest
        && !schemes.is_empty()
        && schemes.iter().all(|scheme| scheme.eq_ignore_ascii_case("basic"))
    {
        return Err(Failure::OnlyBasic);
    }
    if !tried.token {
        return Ok(Login::Token);
    }
    Err(Failure::WrongPassword { user: credentials.user().to_owned(), refusal: refusal.clone() })
}

/// Whether `reply` refuses to let us in.
pub(crate) fn refusal(reply: &Reply, fault: Option<&Fault>) -> Option<Refusal> {
    // The fault says more than the status where both stand.
    match fault {
        Some(fault) if is_refusal(fault) => Some(Refusal::Fault(fault.clone())),
        _ if reply.status == 401 => Some(Refusal::Http401(schemes(&reply.challenges))),
        _ => None,
    }
}

fn is_refusal(fault: &Fault) -> bool {
    let is = |part: &str, words: &[&str]| words.iter().any(|word| part.eq_ignore_ascii_case(word));
    let codes =
        ["NotAuthorized", "FailedAuthentication", "InvalidSecurity", "InvalidSecurityToken", "FailedCheck"];
    if fault.code.split('/').any(|part| is(part, &codes)) {
        return true;
    }
    // onvif-server says in words alone that it wants a token: "WS-Security header required but not provided".
    let reason = fault.reason.to_ascii_lowercase();
    let words =
        ["ws-security", "not authorized", "unauthorized", "authentication", "usernametoken", "password"];
    !fault.code.contains('/') && words.iter().any(|word| reason.contains(word))
}

fn schemes(challenges: &[String]) -> Vec<String> {
    let parsed = |text: &String| {
        let schemes = http_auth::parse_challenges(text).ok()?;
        Some(schemes.iter().map(|challenge| crate::xml::clean(challenge.scheme)).collect::<Vec<_>>())
    };
    challenges.iter().filter_map(parsed).flatten().take(8).collect()
}

/// The strongest Digest challenge that can be answered: SHA-256 before MD5.
fn digest(challenges: &[String]) -> Option<DigestClient> {
    let parsed = challenges.iter().filter_map(|text| http_auth::parse_challenges(text).ok()).flatten();
    let clients = parsed.filter(|challenge| challenge.scheme.eq_ignore_ascii_case("digest"));
    let clients = clients.filter_map(|challenge| DigestClient::try_from(&challenge).ok());
    clients.max_by_key(|client| match client.algorithm() {
        http_auth::digest::Algorithm::Md5 => 0,
        http_auth::digest::Algorithm::Sha256 => 1,
        http_auth::digest::Algorithm::Sha512Trunc256 => 2,
        _ => 0,
    })
}

/// The security header of a request, made at `now_unix_s` of the camera's clock: a camera takes a token for some seconds only.
pub(crate) fn username_token(credentials: &Credentials, now_unix_s: i64, nonce: [u8; 16]) -> String {
    let time = OffsetDateTime::from_unix_timestamp(now_unix_s).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    let created = time.format(format).unwrap_or_default(); // every moment has these parts
    let digest = Sha1::new()
        .chain_update(nonce)
        .chain_update(created.as_bytes())
        .chain_update(credentials.reveal_password().as_bytes())
        .finalize();
    let (nonce, digest) = (BASE64_STANDARD.encode(nonce), BASE64_STANDARD.encode(digest));
    let user = escape(credentials.user());
    format!(
        "<wsse:Security s:mustUnderstand=\"1\" xmlns:wsse=\"{OASIS}-wssecurity-secext-1.0.xsd\" \
         xmlns:wsu=\"{OASIS}-wssecurity-utility-1.0.xsd\"><wsse:UsernameToken><wsse:Username>{user}</wsse:Username>\
         <wsse:Password Type=\"{OASIS}-username-token-profile-1.0#PasswordDigest\">{digest}</wsse:Password>\
         <wsse:Nonce EncodingType=\"{OASIS}-soap-message-security-1.0#Base64Binary\">{nonce}</wsse:Nonce>\
         <wsu:Created>{created}</wsu:Created></wsse:UsernameToken></wsse:Security>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> Credentials {
        Credentials::new("admin", "s3cret")
    }

    fn asked(challenges: &[&str], tried: Tried) -> String {
        let challenges: Vec<String> = challenges.iter().map(|&text| text.to_owned()).collect();
        let refusal = Refusal::Http401(schemes(&challenges));
        match next(&refusal, &challenges, tried, Some(&user())) {
            Ok(Login::Digest(client)) => format!("Digest {:?}", client.algorithm()),
            Ok(login) => format!("{login:?}"),
            Err(error) => error.to_string(),
        }
    }

    const MD5: &str = r#"Digest realm="cam", qop="auth", nonce="abc", algorithm=MD5"#;
    const SHA256: &str = r#"Digest realm="cam", qop="auth", nonce="abc", algorithm=SHA-256"#;

    #[test]
    fn the_way_is_what_the_camera_asks_for() {
        let none = Tried::default();
        assert_eq!(asked(&[MD5], none), "Digest Md5");
        assert_eq!(asked(&[MD5, SHA256], none), "Digest Sha256");
        assert_eq!(asked(&["Basic realm=\"cam\"", MD5], none), "Digest Md5");
        assert_eq!(asked(&[], none), "Token");
        assert_eq!(asked(&[MD5], Tried { digest: true, token: false }), "Token");
        assert_eq!(
            asked(&[MD5], Tried { digest: true, token: true }),
            "the camera refuses user `admin` with this password (HTTP status 401, offers Digest)"
        );
    }

    #[test]
    fn basic_alone_is_refused() {
        assert_eq!(
            asked(&["Basic realm=\"cam\""], Tried::default()),
            "the camera asks for the password in the clear (HTTP Basic), which is never sent; switch its web service to Digest"
        );
    }

    #[test]
    fn without_credentials_the_message_says_so() {
        let fault = Fault { code: "Sender/NotAuthorized".into(), reason: "no".into() };
        let failure = next(&Refusal::Fault(fault), &[], Tried::default(), None).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "the camera asks for a user and a password, and none are given for it (SOAP fault Sender/NotAuthorized: no)"
        );
    }

    #[test]
    fn a_fault_that_refuses_in_words_alone_is_a_refusal() {
        let fault = |code: &str, reason: &str| Fault { code: code.into(), reason: reason.into() };
        assert!(is_refusal(&fault("Sender", "WS-Security header required but not provided")));
        assert!(is_refusal(&fault("Sender/NotAuthorized", "")));
        assert!(!is_refusal(&fault("Receiver/ActionNotSupported", "no authentication here")));
        assert!(!is_refusal(&fault("Sender", "no such profile")));
    }

    /// Worked example of the ONVIF Programmer's Guide, 6.1.1.3.
    #[test]
    fn the_token_is_that_of_the_programmers_guide() {
        let nonce = BASE64_STANDARD.decode("LKqI6G/AikKCQrN0zqZFlg==").unwrap().try_into().unwrap();
        // 2010-09-16T07:50:45Z
        let token = username_token(&Credentials::new("user", "userpassword"), 1_284_623_445, nonce);
        assert!(token.contains(">tuOSpGlFlIXsozq4HFNeeGeFLEI=<"), "{token}");
        assert!(token.contains("<wsu:Created>2010-09-16T07:50:45Z</wsu:Created>"), "{token}");
        assert!(!token.contains("userpassword"));
    }
}
