//! Certificates in which providers publish keys: one is trusted when a chain leads from it to a public root at
//! the time of the check, and it bears a name of the provider. Fetching is left to the caller.

use std::time::Duration;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, Error, KeyUsage};

use super::der;
use super::encoding::Encoding;
use super::key_fetch::matches_any;
use super::url::UrlParts;
use crate::time::Timestamp;

/// Certificates that one file may hold, and issuers that may be fetched for it: public chains have two.
const MOST_CERTIFICATES: usize = 5;

/// What makes a certificate a provider's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRule {
    /// One of its DNS names must fit one of these; `*` stands for one label or a part of it.
    pub(super) names: Vec<String>,
    /// Hosts from which the certificate of its issuer may be fetched, when the provider publishes its own alone.
    pub(super) issuers: Vec<String>,
}

/// A certificate is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The chain has a gap: its issuer's certificate, DER or PEM, is at this URL. It may be plain HTTP, for
    /// what comes from there is trusted only when a root vouches for it.
    #[error("the certificate of the issuer is missing")]
    MissingIssuer(String),
    /// It is no certificate of the provider.
    #[error("{0}")]
    Untrusted(String),
}

impl CertificateRule {
    /// The certificate that is first in `pem`, alone, once it is known to be the provider's. `issuers` are
    /// certificates that were fetched for [`ChainError::MissingIssuer`].
    ///
    /// # Errors
    /// Says which issuer is missing, or why the certificate is not trusted.
    pub fn trusted(
        &self,
        pem: &str,
        issuers: &[Vec<u8>],
        roots: &[TrustAnchor<'_>],
        now: Timestamp,
    ) -> Result<String, ChainError> {
        let mut chain = certificates(pem.as_bytes())?;
        let leaf = chain.remove(0);
        for issuer in issuers {
            chain.extend(certificates(issuer)?);
        }
        let certificate = EndEntityCert::try_from(&leaf).map_err(unreadable)?;
        if !certificate
            .valid_dns_names()
            .any(|name| matches_any(&self.names, &name.to_ascii_lowercase()))
        {
            let named = self.names.join("`, `");
            let problem = format!("the certificate has none of the names `{named}`");
            return Err(ChainError::Untrusted(problem));
        }
        let time = UnixTime::since_unix_epoch(Duration::from_millis(now.as_millis()));
        let verified = certificate.verify_for_usage(
            ALL_VERIFICATION_ALGS,
            roots,
            &chain,
            time,
            KeyUsage::server_auth(),
            None,
            None,
        );
        match verified {
            Ok(_) => Ok(as_pem(&leaf)),
            Err(Error::UnknownIssuer) => Err(self.gap(&leaf, &chain, issuers.len())),
            Err(error) => Err(untrusted(error)),
        }
    }

    /// Where the chain can be mended: at the issuer of its last certificate.
    fn gap(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        fetched: usize,
    ) -> ChainError {
        let last = chain.last().unwrap_or(leaf);
        let place = der::issuer_urls(last)
            .into_iter()
            .find(|url| self.may_give_issuer(url));
        match place {
            Some(url) if fetched < MOST_CERTIFICATES && chain.len() < MOST_CERTIFICATES => {
                ChainError::MissingIssuer(url.to_owned())
            }
            _ => untrusted(Error::UnknownIssuer),
        }
    }

    fn may_give_issuer(&self, url: &str) -> bool {
        let parts = UrlParts::split(url);
        let port = match parts.scheme {
            "https" => "443",
            "http" => "80",
            _ => return false,
        };
        parts.port().is_none_or(|written| written == port)
            && !parts.has_user()
            && matches_any(&self.issuers, &parts.host())
    }
}

/// The certificates of a PEM file, or the one of a DER file.
fn certificates(file: &[u8]) -> Result<Vec<CertificateDer<'static>>, ChainError> {
    if file.first() == Some(&DER_SEQUENCE) {
        return Ok(vec![CertificateDer::from(file.to_vec())]);
    }
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(file)
        .take(MOST_CERTIFICATES)
        .collect();
    let found = found.map_err(unreadable)?;
    if found.is_empty() {
        return Err(unreadable("no certificate is there"));
    }
    Ok(found)
}

const DER_SEQUENCE: u8 = 0x30;

fn as_pem(der: &CertificateDer<'_>) -> String {
    let base64 = Encoding::Base64.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n")
}

fn unreadable(detail: impl std::fmt::Display) -> ChainError {
    ChainError::Untrusted(format!("the certificate cannot be read: {detail}"))
}

fn untrusted(detail: impl std::fmt::Display) -> ChainError {
    ChainError::Untrusted(format!("the certificate is not trusted: {detail}"))
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, IsCa, KeyPair,
    };

    use super::*;

    const NAME: &str = "sns.us-east-1.amazonaws.com";
    const ISSUER_URL: &str = "http://crt.r2m01.amazontrust.com/r2m01.cer";

    type Authority = CertifiedIssuer<'static, KeyPair>;

    fn authority(signer: Option<&Authority>) -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = if signer.is_some() { "between" } else { "root" };
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        match signer {
            Some(signer) => CertifiedIssuer::signed_by(params, key, signer).unwrap(),
            None => CertifiedIssuer::self_signed(params, key).unwrap(),
        }
    }

    fn leaf(name: &str, issuer_url: Option<&str>, signer: &Authority) -> String {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2027, 1, 1);
        params.custom_extensions.extend(issuer_url.map(access));
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, signer).unwrap().pem()
    }

    /// An authority information access extension that names where the issuer is.
    fn access(url: &str) -> CustomExtension {
        let of = |tag: u8, content: &[u8]| {
            let mut element = vec![tag, u8::try_from(content.len()).unwrap()];
            element.extend(content);
            element
        };
        let mut description = of(0x06, &[0x2b, 6, 1, 5, 5, 7, 0x30, 2]);
        description.extend(of(0x86, url.as_bytes()));
        let content = of(0x30, &of(0x30, &description));
        CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], content)
    }

    fn rule() -> CertificateRule {
        CertificateRule {
            names: vec!["sns.*.amazonaws.com".to_owned()],
            issuers: vec!["crt.*.amazontrust.com".to_owned()],
        }
    }

    fn at(year_2026_seconds: u64) -> Timestamp {
        // The first second of 2026, UTC.
        Timestamp::from_millis((1_767_225_600 + year_2026_seconds) * 1000)
    }

    fn check(
        pem: &str,
        issuers: &[Vec<u8>],
        root: &Authority,
        now: Timestamp,
    ) -> Result<String, ChainError> {
        let root = root.der().to_vec().into();
        let anchor = webpki::anchor_from_trusted_cert(&root).unwrap();
        rule().trusted(pem, issuers, &[anchor], now)
    }

    fn is_untrusted(result: &Result<String, ChainError>) -> bool {
        matches!(result, Err(ChainError::Untrusted(_)))
    }

    #[test]
    fn a_chain_to_a_root_makes_a_certificate_trusted_while_it_is_valid() {
        let root = authority(None);
        let between = authority(Some(&root));
        let pem = leaf(NAME, None, &between);
        let whole = format!("{pem}{}", between.pem());

        let trusted = check(&whole, &[], &root, at(60)).unwrap();

        assert_eq!(
            certificates(trusted.as_bytes()).unwrap(),
            certificates(pem.as_bytes()).unwrap()
        );
        assert!(is_untrusted(&check(
            &whole,
            &[],
            &root,
            Timestamp::from_millis(at(0).as_millis() - 1000)
        )));
        assert!(is_untrusted(&check(&whole, &[], &root, at(366 * 86_400))));
        assert!(is_untrusted(&check(&whole, &[], &authority(None), at(60))));
        assert!(is_untrusted(&check(&pem, &[], &root, at(60))));
    }

    #[test]
    fn a_name_of_somebody_else_is_refused_whoever_vouches_for_it() {
        let root = authority(None);

        for name in [
            "amazonaws.com",
            "sns.evil.com",
            "sns.a.amazonaws.com.evil.com",
            "*.amazonaws.com",
        ] {
            let found = check(&leaf(name, None, &root), &[], &root, at(60));

            assert!(is_untrusted(&found), "{name}");
        }
        assert!(check(&leaf(NAME, None, &root), &[], &root, at(60)).is_ok());
    }

    #[test]
    fn a_missing_issuer_is_asked_for_and_believed_only_under_a_root() {
        let root = authority(None);
        let between = authority(Some(&root));
        let pem = leaf(NAME, Some(ISSUER_URL), &between);

        let asked = check(&pem, &[], &root, at(60));

        assert_eq!(asked, Err(ChainError::MissingIssuer(ISSUER_URL.to_owned())));
        assert!(check(&pem, &[between.der().to_vec()], &root, at(60)).is_ok());
        assert!(check(&pem, &[between.pem().into_bytes()], &root, at(60)).is_ok());
        let other = authority(Some(&authority(None)));
        assert!(is_untrusted(&check(
            &pem,
            &[other.der().to_vec()],
            &root,
            at(60)
        )));
        assert!(is_untrusted(&check(
            &pem,
            &[b"0junk".to_vec()],
            &root,
            at(60)
        )));
    }

    #[test]
    fn an_issuer_is_fetched_from_the_rules_hosts_only() {
        let root = authority(None);
        let between = authority(Some(&root));

        for url in [
            "http://127.0.0.1/r2m01.cer",
            "http://crt.evil.com/r2m01.cer",
            "http://crt.r2m01.amazontrust.com:8080/r2m01.cer",
            "http://u@crt.r2m01.amazontrust.com/r2m01.cer",
            "ftp://crt.r2m01.amazontrust.com/r2m01.cer",
        ] {
            let found = check(&leaf(NAME, Some(url), &between), &[], &root, at(60));

            assert!(is_untrusted(&found), "{url}: {found:?}");
        }
    }

    #[test]
    fn a_certificate_of_an_authority_is_no_leaf() {
        let root = authority(None);
        let mut params = CertificateParams::new([NAME.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &root).unwrap().pem();

        assert!(is_untrusted(&check(&pem, &[], &root, at(60))));
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let root = authority(None);

        for text in [
            "",
            "{}",
            "0",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            assert!(is_untrusted(&check(text, &[], &root, at(60))), "{text}");
        }
    }
}
