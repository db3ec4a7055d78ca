//! Removes what deleted endpoints have left behind, in small steps beside live writes, in a thread of its own.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use super::writer::Writer;
use super::{StoreError, body, endpoints};

/// After a failure, such as a full disk, the sweeper looks again so much later.
const RETRY: Duration = Duration::from_secs(60);

/// The thread; it sleeps until an endpoint is deleted.
pub(super) struct Sweeper {
    bell: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Sweeper {
    /// Starts the thread, which first looks for what an earlier run left.
    pub(super) fn start(writer: &Arc<Writer>, bodies: Arc<Path>) -> std::io::Result<Self> {
        // One ring that waits is enough: a look takes everything there is.
        let (bell, rung) = sync_channel(1);
        let writer = Arc::downgrade(writer);
        let thread = std::thread::Builder::new()
            .name("store-sweeper".to_owned())
            .spawn(move || run(&writer, &bodies, &rung))?;
        Ok(Self { bell, thread })
    }

    /// Tells that an endpoint was deleted.
    pub(super) fn ring(&self) {
        let _ = self.bell.try_send(());
    }

    /// Ends the thread after its step. The writer must still be working, and have been let go of.
    pub(super) fn stop(self) {
        drop(self.bell);
        // A panic of that thread has been reported by then.
        let _ = self.thread.join();
    }
}

fn run(writer: &Weak<Writer>, bodies: &Path, rung: &Receiver<()>) {
    loop {
        let pause = match sweep(writer, bodies) {
            Ok(()) => None,
            Err(StoreError::Closed) => return,
            Err(error) => {
                tracing::warn!(%error, "a deleted endpoint could not be swept; later again");
                Some(RETRY)
            }
        };
        let is_over = match pause {
            None => rung.recv().is_err(),
            Some(pause) => rung.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected),
        };
        if is_over {
            return;
        }
    }
}

/// Steps until nothing is left. The writer is held for one step only, so that the store can close in between.
fn sweep(writer: &Weak<Writer>, bodies: &Path) -> Result<(), StoreError> {
    loop {
        let held = writer.upgrade().ok_or(StoreError::Closed)?;
        let step = held.write_and_wait(|writing| endpoints::sweep_step(writing.connection))?;
        drop(held);
        let Some(removed) = step else {
            return Ok(());
        };
        body::remove(bodies, &removed.body_files);
    }
}
