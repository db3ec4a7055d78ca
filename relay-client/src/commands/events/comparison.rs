//! Compares the head that was sent with the head that was delivered, line by line, and finds the reason of each
//! difference among the changes that the client listed. Pure.

use std::collections::VecDeque;

use towline_shared::hop::{Change, ChangeKind};

/// One line of either head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct LineDifference {
    /// The line as sent; `None` when it was added.
    pub(in super::super) sent: Option<Vec<u8>>,
    /// The line as delivered; `None` when it was left out.
    pub(in super::super) delivered: Option<Vec<u8>>,
    /// Why; empty when no listed change explains it.
    pub(in super::super) reasons: Vec<String>,
}

/// What two heads have in common, and what they do not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Comparison {
    /// The differences in order.
    pub(in super::super) differences: Vec<LineDifference>,
    /// The number of lines that are the same to the byte.
    pub(in super::super) same_lines: usize,
    /// The bytes of those lines.
    pub(in super::super) same_bytes: usize,
}

impl Comparison {
    /// Whether every difference has a reason.
    pub(in super::super) fn is_explained(&self) -> bool {
        self.differences
            .iter()
            .all(|difference| !difference.reasons.is_empty())
    }
}

/// Stands where a head has no request line.
const NO_LINE: &[u8] = b"";

/// Compares two heads; `changes` are those that were listed for the delivery.
pub(in super::super) fn compare(sent: &[u8], delivered: &[u8], changes: &[Change]) -> Comparison {
    let sent = lines(sent);
    let delivered = lines(delivered);
    let mut comparison = Comparison::default();
    let mut reasons = Reasons::new(changes);
    let (first_sent, other_sent) = sent.split_first().unwrap_or((&NO_LINE, &[]));
    let (first_delivered, other_delivered) = delivered.split_first().unwrap_or((&NO_LINE, &[]));
    if first_sent == first_delivered {
        comparison.same(first_sent);
    } else {
        comparison.differences.push(LineDifference {
            sent: Some(first_sent.to_vec()),
            delivered: Some(first_delivered.to_vec()),
            reasons: request_line_reasons(first_sent, first_delivered, changes),
        });
    }
    for step in longest_common(other_sent, other_delivered) {
        match step {
            Step::Both(line) => comparison.same(line),
            Step::Sent(line) => comparison.left_out(line),
            Step::Delivered(line) => comparison.put_in(line),
        }
    }
    for difference in &mut comparison.differences {
        difference.find_reasons(&mut reasons);
    }
    comparison
}

impl Comparison {
    fn same(&mut self, line: &[u8]) {
        self.same_lines += 1;
        self.same_bytes += line.len() + 2;
    }

    fn left_out(&mut self, line: &[u8]) {
        self.differences.push(LineDifference {
            sent: Some(line.to_vec()),
            delivered: None,
            reasons: Vec::new(),
        });
    }

    /// A line that takes the place of a left-out one of the same name is one difference with it; of several, the one
    /// with the same letter case.
    fn put_in(&mut self, line: &[u8]) {
        let place = self
            .left_out_just_before(|sent| written_name(sent) == written_name(line))
            .or_else(|| self.left_out_just_before(|sent| name(sent) == name(line)));
        if let Some(index) = place {
            self.differences[index].delivered = Some(line.to_vec());
            return;
        }
        self.differences.push(LineDifference {
            sent: None,
            delivered: Some(line.to_vec()),
            reasons: Vec::new(),
        });
    }

    fn left_out_just_before(&self, is_meant: impl Fn(&[u8]) -> bool) -> Option<usize> {
        let is_left_out = |difference: &LineDifference| difference.delivered.is_none();
        let start = self
            .differences
            .iter()
            .rposition(|difference| !is_left_out(difference))
            .map_or(0, |last| last + 1);
        let found = self.differences[start..]
            .iter()
            .position(|difference| difference.sent.as_deref().is_some_and(&is_meant))?;
        Some(start + found)
    }
}

impl LineDifference {
    fn find_reasons(&mut self, reasons: &mut Reasons) {
        if !self.reasons.is_empty() {
            return;
        }
        let kinds: &[ChangeKind] = match (&self.sent, &self.delivered) {
            (Some(_), Some(_)) => &[ChangeKind::Replaced],
            // One of several fields of a name may be left out because another was replaced.
            (Some(_), None) => &[ChangeKind::Removed, ChangeKind::Replaced],
            _ => &[ChangeKind::Added],
        };
        let line = self
            .sent
            .as_deref()
            .or(self.delivered.as_deref())
            .unwrap_or_default();
        self.reasons.extend(reasons.take(kinds, &name(line)));
    }
}

/// The listed changes of fields; each explains one difference.
struct Reasons(VecDeque<(ChangeKind, Vec<u8>, String)>);

impl Reasons {
    fn new(changes: &[Change]) -> Self {
        let of_fields = changes.iter().filter(|change| !is_of_request_line(change));
        let entry = |change: &Change| {
            (
                change.kind,
                change.part.to_ascii_lowercase().into_bytes(),
                change.reason.clone(),
            )
        };
        Self(of_fields.map(entry).collect())
    }

    /// The first change of the first kind that has one.
    fn take(&mut self, kinds: &[ChangeKind], name: &[u8]) -> Option<String> {
        let index = kinds.iter().find_map(|wanted| {
            self.0
                .iter()
                .position(|(kind, part, _)| kind == wanted && part == name)
        })?;
        self.0.remove(index).map(|(_, _, reason)| reason)
    }
}

fn is_of_request_line(change: &Change) -> bool {
    change.kind == ChangeKind::Replaced && matches!(change.part.as_str(), "target" | "version")
}

/// The method never changes; target and version may, if that was listed.
fn request_line_reasons(sent: &[u8], delivered: &[u8], changes: &[Change]) -> Vec<String> {
    let (Some(sent), Some(delivered)) = (RequestLine::split(sent), RequestLine::split(delivered))
    else {
        return Vec::new();
    };
    let reasons = |part: &str| -> Vec<String> {
        let listed = changes
            .iter()
            .filter(|change| is_of_request_line(change) && change.part == part);
        listed.map(|change| change.reason.clone()).collect()
    };
    let of_target = reasons("target");
    let of_version = reasons("version");
    let is_explained = sent.method == delivered.method
        && (sent.target == delivered.target || !of_target.is_empty())
        && (sent.version == delivered.version || !of_version.is_empty());
    if is_explained {
        [of_target, of_version].concat()
    } else {
        Vec::new()
    }
}

struct RequestLine<'a> {
    method: &'a [u8],
    target: &'a [u8],
    version: &'a [u8],
}

impl<'a> RequestLine<'a> {
    fn split(line: &'a [u8]) -> Option<Self> {
        let first = memchr::memchr(b' ', line)?;
        let last = memchr::memrchr(b' ', line).filter(|last| *last > first)?;
        Some(Self {
            method: &line[..first],
            target: &line[first + 1..last],
            version: &line[last + 1..],
        })
    }
}

/// The lines without their ends and without the empty line behind them.
fn lines(head: &[u8]) -> Vec<&[u8]> {
    let text = head.strip_suffix(b"\r\n\r\n").unwrap_or(head);
    let mut lines = Vec::new();
    let mut start = 0;
    while let Some(end) = memchr::memmem::find(&text[start..], b"\r\n") {
        lines.push(&text[start..start + end]);
        start += end + 2;
    }
    lines.push(&text[start..]);
    lines
}

fn name(line: &[u8]) -> Vec<u8> {
    written_name(line).to_ascii_lowercase()
}

fn written_name(line: &[u8]) -> &[u8] {
    let end = memchr::memchr(b':', line).unwrap_or(line.len());
    &line[..end]
}

enum Step<'a> {
    Both(&'a [u8]),
    Sent(&'a [u8]),
    Delivered(&'a [u8]),
}

/// The shortest way from one list to the other; heads have at most 128 lines, so the square of that is nothing.
fn longest_common<'a>(sent: &[&'a [u8]], delivered: &[&'a [u8]]) -> Vec<Step<'a>> {
    let width = delivered.len() + 1;
    let mut common = vec![0_u16; (sent.len() + 1) * width];
    for i in (0..sent.len()).rev() {
        for j in (0..delivered.len()).rev() {
            common[i * width + j] = if sent[i] == delivered[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let mut steps = Vec::with_capacity(sent.len() + delivered.len());
    let (mut i, mut j) = (0, 0);
    while i < sent.len() || j < delivered.len() {
        if i < sent.len() && j < delivered.len() && sent[i] == delivered[j] {
            steps.push(Step::Both(sent[i]));
            i += 1;
            j += 1;
        } else if j == delivered.len()
            || (i < sent.len() && common[(i + 1) * width + j] >= common[i * width + j + 1])
        {
            steps.push(Step::Sent(sent[i]));
            i += 1;
        } else {
            steps.push(Step::Delivered(delivered[j]));
            j += 1;
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use towline_shared::head::Head;
    use towline_shared::hop::{Host, Rules, forwarded};

    use super::*;

    const KEY: &str = "0123456789abcdefghjkmnpqrstvwxyz";

    fn delivered(sent: &str, host: Host<'_>, body_length: u64) -> (Vec<u8>, Vec<u8>, Vec<Change>) {
        let head = Head::parse(sent.replace("KEY", KEY)).unwrap();
        let add = [("X-Added".to_owned(), "1".to_owned())];
        let rules = Rules {
            base_path: "/hooks",
            base_query: None,
            authority: "localhost:3000",
            host,
            add: &add,
            body_length,
        };
        let done = forwarded(&head, &rules).unwrap();
        (
            head.as_bytes().to_vec(),
            done.head.as_bytes().to_vec(),
            done.changes,
        )
    }

    const ODD: &str = "POST /in/KEY/x?a=%2F HTTP/1.0\r\nHOST: r\r\nHost: s\r\nX-a: 1\r\nx-A:  2 \r\n\
        Connection: close, X-Gone\r\nX-Gone: 1\r\nContent-Length: 03\r\nContent-length: 3\r\nExpect: 100-continue\r\n\r\n";

    #[test]
    fn every_change_of_a_hop_is_explained() {
        for host in [Host::Preserve, Host::Rewrite, Host::Value("a.test")] {
            let (sent, delivered, changes) = delivered(ODD, host, 3);

            let comparison = compare(&sent, &delivered, &changes);

            assert!(comparison.is_explained(), "{comparison:#?}");
            assert!(comparison.differences.len() >= 6);
        }
    }

    #[test]
    fn a_change_that_was_not_listed_is_not_explained() {
        let (sent, delivered, changes) = delivered(ODD, Host::Preserve, 3);
        let tampered = String::from_utf8(delivered)
            .unwrap()
            .replace("X-a: 1", "X-a: 9");

        let comparison = compare(&sent, tampered.as_bytes(), &changes);

        assert!(!comparison.is_explained());
        let found: Vec<_> = comparison
            .differences
            .iter()
            .filter(|one| one.reasons.is_empty())
            .collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].sent.as_deref(), Some(&b"X-a: 1"[..]));
        assert_eq!(found[0].delivered.as_deref(), Some(&b"X-a: 9"[..]));
    }

    #[test]
    fn the_order_of_fields_counts() {
        let comparison = compare(
            b"GET / HTTP/1.1\r\na: 1\r\nb: 2\r\n\r\n",
            b"GET / HTTP/1.1\r\nb: 2\r\na: 1\r\n\r\n",
            &[],
        );

        assert!(!comparison.is_explained());
    }

    #[test]
    fn a_changed_method_is_never_explained() {
        let (sent, delivered, changes) = delivered(ODD, Host::Preserve, 3);
        let tampered = String::from_utf8(delivered)
            .unwrap()
            .replacen("POST", "PUT", 1);

        assert!(!compare(&sent, tampered.as_bytes(), &changes).is_explained());
    }

    #[test]
    fn equal_heads_have_no_differences() {
        let head = b"GET / HTTP/1.1\r\na: 1\r\n\r\n";

        let comparison = compare(head, head, &[]);

        assert_eq!(comparison.same_lines, 2);
        assert_eq!(comparison.same_bytes, head.len() - 2);
        assert!(comparison.differences.is_empty());
    }

    proptest! {
        #[test]
        fn comparing_never_panics(
            sent in proptest::collection::vec(any::<u8>(), 0..200),
            delivered in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = compare(&sent, &delivered, &[]);
        }
    }
}
