//! A throw-away certificate authority and a certificate for loopback, as PEM files in a folder.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// The files of a certificate.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// The authority, for clients.
    pub authority: PathBuf,
    /// The certificate, for servers.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Makes an authority and a certificate for `localhost` and 127.0.0.1.
///
/// # Panics
/// When the files cannot be written.
pub fn make(folder: &Path) -> CertificateFiles {
    let mut authority = CertificateParams::new(Vec::new()).expect("no names are valid names");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().expect("a key can be made");
    let authority = CertifiedIssuer::self_signed(authority, authority_key)
        .expect("an authority can sign itself");
    let key = KeyPair::generate().expect("a key can be made");
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names)
        .and_then(|parameters| parameters.signed_by(&key, &authority))
        .expect("an authority can sign");
    let files = CertificateFiles {
        authority: folder.join("authority.pem"),
        certificate: folder.join("certificate.pem"),
        key: folder.join("key.pem"),
    };
    for (path, text) in [
        (&files.authority, authority.pem()),
        (&files.certificate, certificate.pem()),
        (&files.key, key.serialize_pem()),
    ] {
        std::fs::write(path, text).expect("the folder can be written");
    }
    files
}
