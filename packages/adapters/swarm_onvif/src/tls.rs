//! TLS with cameras, which show certificates that they signed themselves.
//!
//! No public authority vouches for a camera in a private network, so trust is one certificate, known by its fingerprint.
//! The handshake proves that the camera has the certificate's key; the certificate itself is compared right after it, before
//! the first byte is sent.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{self, ClientConfig, DigitallySignedStruct, SignatureScheme};

use crate::address::Host;
use crate::error::Failure;

/// Which certificate a camera may show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// None: the error names the fingerprint of the one that was shown, to be compared and pinned.
    #[default]
    Nothing,
    /// This one.
    Certificate(Fingerprint),
    /// Any. Whoever sits between can then read and change everything.
    DangerouslyAnyCertificate,
}

/// SHA-256 of a certificate (DER), as `openssl x509 -fingerprint -sha256` and browsers show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02X}", if index == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a SHA-256 fingerprint: 64 hexadecimal digits, with or without colons")]
pub struct FingerprintError;

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let digits: Vec<u32> = text
            .chars()
            .filter(|c| *c != ':')
            .map(|c| c.to_digit(16).ok_or(FingerprintError))
            .collect::<Result<_, _>>()?;
        if digits.len() != 64 {
            return Err(FingerprintError);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (pair[0] << 4 | pair[1]) as u8;
        }
        Ok(Self(bytes))
    }
}

/// Makes `stream` private, with a peer that shows a certificate which `trust` allows.
pub(crate) async fn connect(
    stream: TcpStream,
    host: &Host,
    trust: Trust,
) -> Result<TlsStream<TcpStream>, Failure> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::Tls(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(HasItsKey(provider)))
        .with_no_client_auth();
    let name = match host {
        Host::Name(name) => {
            ServerName::try_from(name.clone()).map_err(|error| Failure::Tls(error.to_string()))?
        }
        Host::V4(address) => ServerName::from(std::net::IpAddr::from(*address)),
        Host::V6(address, _) => ServerName::from(std::net::IpAddr::from(*address)),
    };
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(|error| Failure::Tls(error.to_string()))?;
    let shown = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(<[_]>::first)
        .map(|certificate| Fingerprint::of(certificate));
    match (trust, shown) {
        (_, None) => Err(Failure::Tls("the camera showed no certificate".to_owned())),
        (Trust::DangerouslyAnyCertificate, Some(_)) => Ok(stream),
        (Trust::Nothing, Some(shown)) => Err(Failure::UnknownCertificate { shown }),
        (Trust::Certificate(pinned), Some(shown)) if pinned == shown => Ok(stream),
        (Trust::Certificate(pinned), Some(shown)) => Err(Failure::OtherCertificate { pinned, shown }),
    }
}

/// Whoever shows a certificate must have its key; which certificate it is, [`connect`] looks at.
#[derive(Debug)]
struct HasItsKey(Arc<CryptoProvider>);

impl ServerCertVerifier for HasItsKey {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_reads_as_openssl_writes_it() {
        let fingerprint = Fingerprint::of(b"test");
        let text = fingerprint.to_string();
        assert!(text.starts_with("9F:86:D0:81:88:4C:7D:65:"), "{text}");
        assert_eq!(text.parse(), Ok(fingerprint));
        assert_eq!(text.replace(':', "").to_lowercase().parse(), Ok(fingerprint));
        for bad in ["", "9F:86", "xyz", &text[1..], &format!("{text}00")] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(FingerprintError));
        }
    }
}
