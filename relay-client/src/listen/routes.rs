//! Which target an event goes to: that of the first route whose expression means it, else the one for all others.
//! Each target has its own connections and its own gate, so that a dead one holds up only what goes there, as far
//! as the order of the line allows.

use std::io;

use bytes::{Bytes, BytesMut};
use towline_shared::event::EventInfo;
use towline_shared::filter::{Facts, Filter, MAX_FILTER_BODY_BYTES};

use super::gate::Gate;
use super::{Options, Route};
use crate::body::Body;
use crate::forward::{Delivery, Forwarder, ForwarderError};

/// The targets of a run.
pub(super) struct Routes {
    lanes: Vec<(Filter, Lane)>,
    /// For what no route takes; without it that is skipped.
    otherwise: Option<Lane>,
    reads_body: bool,
}

/// One target.
pub(super) struct Lane {
    pub(super) forwarder: Forwarder,
    pub(super) gate: Gate,
    /// The target, as people read it.
    pub(super) target: String,
}

impl Routes {
    /// Prepares all targets; it reads certificate files, so call it where blocking is allowed.
    pub(super) fn new(options: &Options) -> Result<Self, ForwarderError> {
        let mut lanes = Vec::with_capacity(options.routes.len());
        for Route { when, target } in &options.routes {
            let delivery = Delivery {
                target: target.clone(),
                ..options.delivery.clone()
            };
            lanes.push((when.clone(), Lane::new(delivery, options)?));
        }
        let otherwise = match options.skips_unrouted {
            true => None,
            false => Some(Lane::new(options.delivery.clone(), options)?),
        };
        Ok(Self {
            reads_body: lanes.iter().any(|(when, _)| when.reads_body()),
            lanes,
            otherwise,
        })
    }

    /// The target of an event; none when no route takes it and there is no other.
    ///
    /// # Errors
    /// When a route looks into the body and that cannot be read.
    pub(super) async fn lane(
        &self,
        info: &EventInfo,
        head: &Bytes,
        body: &mut Body,
    ) -> io::Result<Option<&Lane>> {
        let body = match self.reads_body && body.length() <= MAX_FILTER_BODY_BYTES {
            true => Some(whole(body).await?),
            false => None,
        };
        let facts = Facts {
            info,
            head,
            body: body.as_deref(),
        };
        let found = self.lanes.iter().find(|(when, _)| when.is_match(&facts));
        Ok(found.map(|(_, lane)| lane).or(self.otherwise.as_ref()))
    }
}

impl Lane {
    fn new(delivery: Delivery, options: &Options) -> Result<Self, ForwarderError> {
        let signer = options.signer.clone();
        Ok(Self {
            target: delivery.target.to_string(),
            forwarder: Forwarder::new(delivery)?.signing_with(signer),
            gate: Gate::new(),
        })
    }
}

/// A body that is short enough to be looked into.
async fn whole(body: &mut Body) -> io::Result<Bytes> {
    if let Body::Memory(bytes) = body {
        return Ok(bytes.clone());
    }
    let mut whole = BytesMut::new();
    let mut reader = body.reader().await?;
    while !reader.is_at_end() {
        whole.extend_from_slice(&reader.next().await?);
    }
    Ok(whole.freeze())
}
