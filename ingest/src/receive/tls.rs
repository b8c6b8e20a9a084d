//! TLS for doors: PEM files in, a configuration for the server out.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

/// The files of a door's TLS.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// The certificate of the door, with its chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Whose clients are let in; without it any client is.
    pub client_ca: Option<PathBuf>,
}

/// Why TLS could not be set up. A door that should have it does not open without.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read as PEM.
    #[error("reading PEM file {path}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// The files do not make a server.
    #[error("setting up TLS with certificate {path}")]
    Setup {
        /// The certificate.
        path: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// The clients' authorities do not make a verifier.
    #[error("setting up client certificates with {path}")]
    ClientCa {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: rustls::server::VerifierBuilderError,
    },
}

impl TlsSettings {
    /// Reads the files.
    pub(super) fn acceptor(&self) -> Result<TlsAcceptor, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let setup = |source| TlsError::Setup { path: self.certificate.clone(), source };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(setup)?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let failed = |source| TlsError::ClientCa { path: path.clone(), source };
                let roots = Arc::new(roots(path, &self.certificate)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                builder.with_client_cert_verifier(verifier.build().map_err(failed)?)
            }
        };
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|source| TlsError::Pem { path: self.key.clone(), source })?;
        let mut config =
            builder.with_single_cert(certificates(&self.certificate)?, key).map_err(setup)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn roots(path: &Path, certificate: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(path)? {
        let failed = |source| TlsError::Setup { path: certificate.to_owned(), source };
        roots.add(authority).map_err(failed)?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::Pem { path: path.to_owned(), source };
    let found = CertificateDer::pem_file_iter(path).map_err(failed)?;
    found.collect::<Result<_, _>>().map_err(failed)
}
