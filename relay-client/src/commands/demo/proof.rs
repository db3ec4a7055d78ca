//! Whether what was sent is what was kept and what was delivered, to the byte.

use serde::Serialize;
use towline_shared::hop::Change;

use super::super::events::{Comparison, compare};
use super::app::Received;
use crate::screen::quantity;
use crate::screen::table::{Cell, Table, Tone};

/// One webhook's way, compared.
pub(super) struct Proof {
    pub(super) title: String,
    pub(super) head: Comparison,
    pub(super) sent_body: Vec<u8>,
    pub(super) delivered_body: Vec<u8>,
    /// Whether the relay gives back exactly the bytes that were sent.
    pub(super) is_kept: bool,
    pub(super) is_as_expected: bool,
}

/// One webhook's way as JSON.
#[derive(Serialize)]
pub(super) struct ProofLine<'a> {
    webhook: &'a str,
    held: bool,
    head_lines_identical: usize,
    head_changes: Vec<&'a str>,
    body_bytes: usize,
    is_body_identical: bool,
    is_kept_identical: bool,
}

impl Proof {
    /// Compares what the sender wrote with what the app read and with what the relay kept.
    pub(super) fn of(
        title: &str,
        sent: &Received,
        kept: &[u8],
        delivered: Received,
        changes: &[Change],
    ) -> Self {
        Self {
            title: title.to_owned(),
            head: compare(&sent.head, &delivered.head, changes),
            is_kept: kept == [sent.head.as_slice(), &sent.body].concat(),
            sent_body: sent.body.clone(),
            delivered_body: delivered.body,
            is_as_expected: true,
        }
    }

    /// Whether all of it is as promised.
    pub(super) fn held(&self) -> bool {
        self.is_as_expected && self.is_kept && self.head.is_explained() && self.is_body_identical()
    }

    fn is_body_identical(&self) -> bool {
        self.sent_body == self.delivered_body
    }

    /// The same for machines.
    pub(super) fn line(&self) -> ProofLine<'_> {
        let changes = self
            .head
            .differences
            .iter()
            .flat_map(|difference| &difference.reasons);
        ProofLine {
            webhook: &self.title,
            held: self.held(),
            head_lines_identical: self.head.same_lines,
            head_changes: changes.map(String::as_str).collect(),
            body_bytes: self.sent_body.len(),
            is_body_identical: self.is_body_identical(),
            is_kept_identical: self.is_kept,
        }
    }
}

/// The table *sent = delivered*.
pub(super) fn table(proofs: &[Proof], columns: Option<usize>) -> Vec<String> {
    let mut table = Table::new(&["SENT = DELIVERED", "HEAD", "BODY", "KEPT", ""]);
    for proof in proofs {
        let same = |is_same: bool| if is_same { "=" } else { "differs" };
        let changes = proof.head.differences.len() as u64;
        let head = format!(
            "{} {}, {}",
            same(proof.head.is_explained()),
            quantity::count(proof.head.same_lines as u64, "line"),
            quantity::count(changes, "listed change")
        );
        let body = format!(
            "{} {} B",
            same(proof.is_body_identical()),
            proof.sent_body.len()
        );
        let (word, tone) = if proof.held() {
            ("held", Tone::Good)
        } else {
            ("BROKEN", Tone::Bad)
        };
        table.row([
            proof.title.clone().into(),
            head.into(),
            body.into(),
            same(proof.is_kept).into(),
            Cell::new(word, tone),
        ]);
    }
    table.lines(columns, 0)
}

/// The reasons of all changes, each once, in order.
pub(super) fn reasons(proofs: &[Proof]) -> Vec<String> {
    let mut reasons: Vec<String> = Vec::new();
    for difference in proofs.iter().flat_map(|proof| &proof.head.differences) {
        for reason in &difference.reasons {
            if !reasons.contains(reason) {
                reasons.push(reason.clone());
            }
        }
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(head: &str, body: &[u8]) -> Received {
        Received {
            head: head.as_bytes().to_vec(),
            body: body.to_vec(),
        }
    }

    #[test]
    fn one_byte_breaks_the_proof() {
        let head = "POST / HTTP/1.1\r\nA: 1\r\n\r\n";
        let sent = received(head, b"body");
        let kept = format!("{head}body");
        let proof =
            |kept: &str, delivered| Proof::of("x", &sent, kept.as_bytes(), delivered, &[]).held();

        assert!(proof(&kept, received(head, b"body")));
        assert!(!proof(&kept, received(head, b"bodY")));
        assert!(!proof(&kept, received(&head.replace('A', "a"), b"body")));
        assert!(!proof("other", received(head, b"body")));
    }
}
