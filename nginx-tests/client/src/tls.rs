//! TLS that trusts any server: a test looks at the certificate itself.

use std::fmt::Write;
use std::sync::Arc;

use anyhow::Result;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::script::{Protocol, Script};

/// The settings of a handshake for `protocol`.
pub fn settings(protocol: Protocol) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let mut settings = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
        .with_no_client_auth();
    let name: &[u8] = match protocol {
        Protocol::H1 => b"http/1.1",
        Protocol::H2 => b"h2",
        Protocol::H3 => b"h3",
    };
    settings.alpn_protocols = vec![name.to_vec()];
    Ok(settings)
}

/// The handshake on a TCP connection.
pub async fn connect(script: &Script, stream: TcpStream) -> Result<TlsStream<TcpStream>> {
    let connector = TlsConnector::from(Arc::new(settings(script.protocol)?));
    Ok(connector.connect(ServerName::try_from(script.name.clone())?, stream).await?)
}

/// The server's own certificate of its chain, in hexadecimal digits.
pub fn certificate(chain: Option<&[CertificateDer]>) -> Option<String> {
    let mut digits = String::new();
    for byte in chain?.first()?.iter() {
        write!(digits, "{byte:02x}").ok()?;
    }
    Some(digits)
}

#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer,
        _intermediates: &[CertificateDer],
        _server_name: &ServerName,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
