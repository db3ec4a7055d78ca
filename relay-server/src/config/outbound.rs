//! Where the requests that the relay makes by itself may go: for keys of providers, and to confirm subscriptions.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use rustls::pki_types::CertificateDer;

/// The places that the relay may reach, and whom it trusts there.
///
/// `HTTPS_PROXY` is not followed: behind a proxy nobody can tell which address is spoken to, and that check is what keeps
/// a sender out of the relay's own network.
#[derive(Clone, Debug, Default)]
pub enum Outbound {
    /// The public internet by name, trusted by the web's public roots. A machine's own authorities do not count:
    /// they must not be able to vouch for the key of a provider.
    #[default]
    Public,
    /// These hosts alone, each at its address, trusted by these roots alone: for tests and closed networks.
    Only {
        /// Where each host is; the port of a URL does not count.
        hosts: BTreeMap<String, SocketAddr>,
        /// Certificates of authorities.
        roots: Vec<CertificateDer<'static>>,
    },
}
