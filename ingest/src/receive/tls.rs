//! TLS for doors: PEM files in, a configuration for the server out.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// The files of a door's TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// A file holds no certificate.
    #[error("reading PEM file {path}: there is no certificate in it")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The key is that of another certificate.
    #[error("setting up TLS: the key in {key} is not that of the certificate in {certificate}")]
    Mismatch {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
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

impl TlsError {
    /// The file that is to be looked at.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Pem { path, .. }
            | Self::Empty { path }
            | Self::Setup { path, .. }
            | Self::ClientCa { path, .. }
            | Self::Mismatch { key: path, .. } => path,
        }
    }
}

/// What a door shows to its clients, read from its files. It can be replaced while the door is open.
#[derive(Clone)]
pub struct DoorTls {
    shown: Arc<RwLock<Shown>>,
    changes: Arc<watch::Sender<u64>>,
}

/// What is shown, from which files, and what these held when they were last looked at.
#[derive(Clone)]
struct Shown {
    acceptor: TlsAcceptor,
    files: TlsSettings,
    seen: blake3::Hash,
}

impl std::fmt::Debug for DoorTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DoorTls").finish_non_exhaustive()
    }
}

impl DoorTls {
    /// Reads the files.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(files: &TlsSettings) -> Result<Self, Vec<TlsError>> {
        // What changes while they are read is read again.
        let seen = contents(files);
        let roots = files.client_ca.as_deref().map(roots).transpose();
        let certificates = certificates(&files.certificate);
        let key = PrivateKeyDer::from_pem_file(&files.key)
            .map_err(|source| TlsError::Pem { path: files.key.clone(), source });
        let acceptor = match (roots, certificates, key) {
            (Ok(roots), Ok(certificates), Ok(key)) => {
                acceptor(files, roots, certificates, key).map_err(|error| vec![error])?
            }
            (roots, certificates, key) => {
                let wrong = [certificates.err(), key.err(), roots.err()];
                return Err(wrong.into_iter().flatten().collect());
            }
        };
        let shown = Shown { acceptor, files: files.clone(), seen };
        Ok(Self { shown: Arc::new(RwLock::new(shown)), changes: Arc::default() })
    }

    /// Shows what `other` shows, from the next connection on. Those that are open end when their requests
    /// have: whom they let in may count no more.
    pub fn replace(&self, other: &Self) {
        let new = other.shown.read().unwrap_or_else(PoisonError::into_inner).clone();
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = new;
        self.changes.send_modify(|count| *count += 1);
    }

    /// Reads the files again, if they hold something else; says whether they did.
    ///
    /// # Errors
    /// What is wrong with them, once for what they hold; what is shown stays as it is.
    pub fn read_again(&self) -> Result<bool, Vec<TlsError>> {
        let (files, before) = {
            let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
            (shown.files.clone(), shown.seen)
        };
        let seen = contents(&files);
        if seen == before {
            return Ok(false);
        }
        match Self::load(&files) {
            Ok(new) => self.replace(&new),
            Err(errors) => {
                self.shown.write().unwrap_or_else(PoisonError::into_inner).seen = seen;
                return Err(errors);
            }
        }
        Ok(true)
    }

    /// When what is shown now has been replaced.
    pub(super) fn changed(&self) -> impl Future<Output = ()> + use<> {
        let mut changes = self.changes.subscribe();
        async move {
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// What the next connection is shown.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.shown.read().unwrap_or_else(PoisonError::into_inner).acceptor.clone()
    }
}

/// What the files hold, as one hash; a file that cannot be read holds nothing.
fn contents(files: &TlsSettings) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for path in [Some(&files.certificate), Some(&files.key), files.client_ca.as_ref()] {
        let bytes = path.and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
        hasher.update(&(bytes.len() as u64).to_le_bytes()).update(&bytes);
    }
    hasher.finalize()
}

fn acceptor(
    files: &TlsSettings,
    roots: Option<RootCertStore>,
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<TlsAcceptor, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let setup = |source| match source {
        rustls::Error::InconsistentKeys(_) => {
            TlsError::Mismatch { certificate: files.certificate.clone(), key: files.key.clone() }
        }
        source => TlsError::Setup { path: files.certificate.clone(), source },
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(setup)?;
    let builder = match (roots, &files.client_ca) {
        (Some(roots), Some(path)) => {
            let failed = |source| TlsError::ClientCa { path: path.clone(), source };
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(failed)?)
        }
        _ => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(certificates, key).map_err(setup)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(path)? {
        let failed = |source| TlsError::Setup { path: path.to_owned(), source };
        roots.add(authority).map_err(failed)?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::Pem { path: path.to_owned(), source };
    let found = CertificateDer::pem_file_iter(path).map_err(failed)?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    if found.is_empty() { Err(TlsError::Empty { path: path.to_owned() }) } else { Ok(found) }
}
