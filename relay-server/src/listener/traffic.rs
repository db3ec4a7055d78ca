//! What goes on in one connection: the recorder's place in it, and how many requests are in hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use http::request::Parts;
use parking_lot::Mutex;

use super::recorder::{Place, Recorded, Recorder};

/// How many requests the relay has in hand, over all connections.
#[derive(Debug, Default)]
pub(crate) struct InHand {
    count: AtomicUsize,
}

impl InHand {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

/// The state of one connection, shared by its socket and its service.
#[derive(Debug)]
pub(super) struct Traffic {
    recorder: Option<Mutex<Recorder>>,
    begun: AtomicU32,
    in_hand_here: AtomicU32,
    in_hand: Arc<InHand>,
}

/// What the sender is to do next. The number tells one time from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// Nothing: it is the relay's turn.
    Nothing,
    /// The rest of a head.
    Head(u32),
    /// The next request.
    Request(u32),
}

/// One request that the relay has in hand; dropped when its answer is written.
#[derive(Debug)]
pub(super) struct Request {
    traffic: Arc<Traffic>,
}

impl Traffic {
    /// A connection that speaks HTTP/1, with a recorder.
    pub(super) fn recorded(in_hand: Arc<InHand>) -> Arc<Self> {
        Self::new(Some(Mutex::default()), in_hand)
    }

    /// A connection that speaks HTTP/2, where heads do not come as text.
    pub(super) fn unrecorded(in_hand: Arc<InHand>) -> Arc<Self> {
        Self::new(None, in_hand)
    }

    fn new(recorder: Option<Mutex<Recorder>>, in_hand: Arc<InHand>) -> Arc<Self> {
        Arc::new(Self {
            recorder,
            begun: AtomicU32::new(0),
            in_hand_here: AtomicU32::new(0),
            in_hand,
        })
    }

    /// Takes note of bytes that the HTTP library is about to get.
    pub(super) fn observe(&self, bytes: &[u8]) {
        if let Some(recorder) = &self.recorder {
            recorder.lock().observe(bytes);
        }
    }

    /// The recorded head of the next request; `None` where nothing is recorded.
    pub(super) fn recorded_head(&self, parts: &Parts) -> Option<Recorded> {
        self.recorder
            .as_ref()
            .map(|recorder| recorder.lock().take(parts))
    }

    /// Stops recording, because the connection changes its protocol.
    pub(super) fn upgrade(&self) {
        if let Some(recorder) = &self.recorder {
            recorder.lock().upgrade();
        }
    }

    /// What the sender is to do next.
    pub(super) fn awaited(&self) -> Awaited {
        if self.in_hand_here.load(Ordering::Acquire) > 0 {
            return Awaited::Nothing;
        }
        let Some(recorder) = &self.recorder else {
            return Awaited::Request(self.begun.load(Ordering::Relaxed));
        };
        match recorder.lock().place() {
            (Place::Upgraded, _) => Awaited::Nothing,
            (Place::Between, begun) => Awaited::Request(begun),
            (_, begun) => Awaited::Head(begun),
        }
    }

    /// Whether the sender may be in the middle of a request that nobody reads any more.
    pub(super) fn is_cut_short(&self) -> bool {
        self.recorder.as_ref().is_some_and(|recorder| {
            !matches!(
                recorder.lock().place(),
                (Place::Between | Place::Upgraded, _)
            )
        })
    }

    /// Counts a request from here until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Request {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.in_hand_here.fetch_add(1, Ordering::Release);
        self.in_hand.count.fetch_add(1, Ordering::Relaxed);
        Request {
            traffic: Arc::clone(self),
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.traffic.in_hand_here.fetch_sub(1, Ordering::Release);
        self.traffic.in_hand.count.fetch_sub(1, Ordering::Relaxed);
    }
}
