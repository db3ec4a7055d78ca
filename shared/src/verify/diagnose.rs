//! Looks for the reason of a failed check, most likely first.

use super::Provider;
use super::delivery::Delivery;
use super::trouble::Failing;
use crate::verdict::Finding;

/// What a closer look at a failed check turns up.
pub(super) fn findings(
    _provider: &Provider,
    _delivery: &Delivery<'_>,
    _failing: &Failing,
) -> Vec<Finding> {
    Vec::new()
}
