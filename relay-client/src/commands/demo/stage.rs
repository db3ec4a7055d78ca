//! The demo's stage: a relay, an app, and a listener for each endpoint, all in this process and on real sockets.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use towline_shared::wire::Start;
use url::Url;

use super::super::local_relay::LocalRelay;
use super::app::{App, Received};
use super::webhooks;
use crate::listen::{Delivery, HostHeader, ListenError, News, Options, Summary, listen};
use crate::relay_api::RelayApi;
use crate::target::Target;

/// Far longer than any step takes.
const STEP_TIME: Duration = Duration::from_secs(5);

/// News that wait to be shown; when full, the listeners wait.
const NEWS: usize = 256;

/// Everything that runs.
pub(super) struct Stage {
    relay: LocalRelay,
    app: App,
    listeners: JoinSet<Result<Summary, ListenError>>,
    stop: CancellationToken,
    news: mpsc::Receiver<News>,
    folder: TemporaryFolder,
    /// The way to the relay.
    pub(super) api: RelayApi,
    /// The path of each endpoint's public URL.
    pub(super) paths: HashMap<String, String>,
}

impl Stage {
    /// Starts everything and waits until all listeners are connected.
    pub(super) async fn set() -> anyhow::Result<Self> {
        let folder = TemporaryFolder::make()?;
        let relay = LocalRelay::start_on_free_port(&folder.0.join("relay")).await?;
        let app = App::start().await.context("could not start the app")?;
        let api = RelayApi::new(relay.found.address.clone(), Some(relay.found.token.clone()));
        let (sender, news) = mpsc::channel(NEWS);
        let mut stage = Self {
            paths: HashMap::new(),
            listeners: JoinSet::new(),
            stop: CancellationToken::new(),
            relay,
            app,
            news,
            folder,
            api,
        };
        for endpoint in webhooks::endpoints()? {
            let made = stage.api.create_endpoint(&endpoint).await?;
            let path = Url::parse(&made.url)
                .context("the endpoint's URL cannot be read")?
                .path()
                .to_owned();
            stage.paths.insert(made.name.to_string(), path);
            let options = stage.options(made.name)?;
            stage.listeners.spawn(listen(
                options,
                sender.clone(),
                stage.stop.clone(),
                stage.stop.clone(),
            ));
        }
        for _ in 0..stage.paths.len() {
            stage
                .news(|news| matches!(news, News::Ready { .. }))
                .await?;
        }
        Ok(stage)
    }

    fn options(&self, endpoint: towline_shared::id::EndpointName) -> anyhow::Result<Options> {
        Ok(Options {
            relay: self.relay.found.address.clone(),
            token: self.relay.found.token.clone(),
            state: self.folder.0.join("state").join(endpoint.as_str()),
            endpoint,
            consumer: "demo".parse()?,
            start: Start::Now,
            concurrency: 1,
            delivery: Delivery {
                target: self.target()?,
                timeout: STEP_TIME,
                retries: 0,
                park_after: None,
                host: HostHeader::Preserve,
                add_headers: Vec::new(),
                mark: false,
                insecure: false,
            },
            filter: None,
            routes: Vec::new(),
            skips_unrouted: false,
            signer: None,
        })
    }

    /// Where the app is.
    pub(super) fn target(&self) -> anyhow::Result<Target> {
        Ok(format!("http://{}/hooks", self.app.address).parse()?)
    }

    /// Where the relay is.
    pub(super) fn relay_address(&self) -> anyhow::Result<SocketAddr> {
        let url = &self.api.relay().url;
        let addresses = url
            .socket_addrs(|| None)
            .context("the relay's address cannot be read")?;
        addresses
            .first()
            .copied()
            .context("the relay has no address")
    }

    /// Waits for the next news of the wanted kind; what comes before it is of no interest.
    pub(super) async fn news(&mut self, is_wanted: impl Fn(&News) -> bool) -> anyhow::Result<News> {
        let wait = async {
            loop {
                tokio::select! {
                    biased;
                    news = self.news.recv() => match news {
                        Some(news) if is_wanted(&news) => return Ok(news),
                        Some(_) => {}
                        None => bail!("all listeners have ended"),
                    },
                    Some(ended) = self.listeners.join_next() => {
                        ended??;
                        bail!("a listener ended by itself");
                    }
                }
            }
        };
        timeout(STEP_TIME, wait)
            .await
            .context("the listener told nothing in time")?
    }

    /// Waits for what the app got.
    pub(super) async fn received(&mut self) -> anyhow::Result<Received> {
        let received = timeout(STEP_TIME, self.app.received.recv()).await;
        received
            .context("the app got nothing in time")?
            .context("the app has ended")
    }

    /// Whether the app has got something that nobody waited for.
    pub(super) fn has_surplus(&mut self) -> bool {
        self.app.received.try_recv().is_ok()
    }

    /// Stops everything in order.
    pub(super) async fn clear(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        while let Some(ended) = self.listeners.join_next().await {
            ended??;
        }
        self.app.stop().await;
        self.relay.stop().await;
        Ok(())
    }
}

/// A folder that is removed with its content at the end.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn make() -> anyhow::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random)
            .map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
        let name = format!("towline-demo-{}", data_encoding::HEXLOWER.encode(&random));
        let path = std::env::temp_dir().join(name);
        make_private(&path)
            .with_context(|| format!("could not make the folder `{}`", path.display()))?;
        Ok(Self(path))
    }
}

/// An existing folder is somebody else's and is refused.
fn make_private(path: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // The system clears its temporary folder too.
        let _ = fs::remove_dir_all(&self.0);
    }
}
