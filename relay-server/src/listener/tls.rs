//! Reads certificate and key, and makes the TLS settings of the listener.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::TlsFiles;

/// A TLS file that cannot be used.
#[derive(Debug)]
pub(crate) struct TlsError {
    /// The file.
    pub(crate) path: std::path::PathBuf,
    /// Why.
    pub(crate) detail: String,
}

/// Server settings that offer HTTP/2 and HTTP/1.1, over TLS 1.2 and 1.3.
pub(crate) fn server_config(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(&files.certificate)?;
    let key =
        PrivateKeyDer::from_pem_file(&files.key).map_err(|error| unusable(&files.key, &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&files.certificate, &error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| unusable(&files.key, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unusable(path, &error))?;
    if chain.is_empty() {
        return Err(unusable(path, &"it has no certificate in PEM"));
    }
    Ok(chain)
}

fn unusable(path: &Path, why: &impl std::fmt::Display) -> TlsError {
    TlsError {
        path: path.to_owned(),
        detail: why.to_string(),
    }
}
