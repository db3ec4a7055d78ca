//! The scenes of the bench, one after the other.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use towline_tests::api::path_of;
use towline_tests::nodes::{ClientProcess, RelayProcess};
use towline_tests::sender;
use towline_tests::usage::{self, Usage, of_process};

use crate::idle::IdleConsumers;
use crate::load::{self, Load, Sent, Until};
use crate::report::{aimed, bytes, figure, headline, rate, time};
use crate::sink::Sink;

/// How long and how much.
struct Size {
    load: Duration,
    idle: [usize; 2],
    kept: usize,
}

/// Loads that are measured directly and through the relay: name, senders, pause of each.
const LOADS: [(&str, usize, Duration); 4] = [
    ("1 sender, hot", 1, Duration::ZERO),
    ("1 sender, 200/s", 1, Duration::from_millis(5)),
    ("16 senders", 16, Duration::ZERO),
    ("64 senders", 64, Duration::ZERO),
];

/// Runs all of it.
pub(crate) async fn run(is_quick: bool) -> Result<()> {
    let size = if is_quick {
        Size {
            load: Duration::from_secs(2),
            idle: [1_000, 2_000],
            kept: 50_000,
        }
    } else {
        Size {
            load: Duration::from_secs(6),
            idle: [1_000, 10_000],
            kept: 1_000_000,
        }
    };
    let start = Instant::now();
    println!("{}", machine());
    let sink = Sink::start().context("could not start the sink")?;
    let direct = direct(&sink, &size)?;
    through_the_relay(&sink, &size, &direct).await?;
    big_body(&sink).await?;
    idle_consumers(&size).await?;
    kept_events(&sink, &size).await?;
    println!("\n{} in all", time(start.elapsed()));
    Ok(())
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, model)| model);
    format!("{cores} cores of {model}; senders, relay, client and sink share them; 1 KiB a request")
}

/// What one load gave.
struct Measured {
    sent: Sent,
    delivered: usize,
    /// From the first request to the last delivery.
    whole: Duration,
    delivery_p50: Duration,
    delivery_p99: Duration,
}

fn measure(sink: &Sink, load: &Load) -> Result<Measured> {
    sink.forget();
    let sent = load::send(load).context("the senders failed")?;
    let expected = sent.acknowledged.count();
    let deadline = Instant::now() + Duration::from_secs(60);
    while sink.count() < expected && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
    ensure!(
        sink.count() == expected,
        "{expected} acknowledged, {} delivered",
        sink.count()
    );
    let latencies = sink.latencies();
    Ok(Measured {
        whole: Duration::from_nanos(sink.last_at() - sent.first_at),
        delivered: sink.count(),
        delivery_p50: latencies.percentile(0.5),
        delivery_p99: latencies.percentile(0.99),
        sent,
    })
}

fn direct(sink: &Sink, size: &Size) -> Result<Vec<Measured>> {
    headline("Direct: senders → sink");
    let mut all = Vec::new();
    for (name, senders, pause) in LOADS {
        let measured = measure(
            sink,
            &Load {
                address: sink.address(),
                path: "/".to_owned(),
                senders,
                pause,
                until: Until::Time(size.load / 2),
            },
        )?;
        figure(name, &times(&measured));
        all.push(measured);
    }
    Ok(all)
}

fn times(measured: &Measured) -> String {
    let acknowledged = &measured.sent.acknowledged;
    format!(
        "{:>8.0}/s   answered p50 {:>8} p99 {:>8}   delivered p50 {:>8} p99 {:>8}",
        rate(measured.delivered, measured.whole),
        time(acknowledged.percentile(0.5)),
        time(acknowledged.percentile(0.99)),
        time(measured.delivery_p50),
        time(measured.delivery_p99),
    )
}

async fn through_the_relay(sink: &Sink, size: &Size, direct: &[Measured]) -> Result<()> {
    headline(
        "Through relay and client: senders → relay (durable) → client → sink, --concurrency 64",
    );
    let mut nodes = Nodes::start(sink).await?;
    let idle = nodes.relay_usage();
    for ((name, senders, pause), direct) in LOADS.into_iter().zip(direct) {
        usage::forget_peak(nodes.relay.process().pid());
        let (relay_before, client_before) = (nodes.relay_usage(), nodes.client_usage());
        let load = nodes.load(senders, pause, Until::Time(size.load));
        let measured = measure(sink, &load)?;
        figure(name, &times(&measured));
        let (relay, client) = (nodes.relay_usage(), nodes.client_usage());
        let per_event = |before: Usage, after: Usage| {
            time(
                (after.cpu - before.cpu)
                    / u32::try_from(measured.delivered.max(1)).unwrap_or(u32::MAX),
            )
        };
        figure(
            "",
            &format!(
                "processor per event: relay {}, client {}; memory relay {} (peak {}), client {}",
                per_event(relay_before, relay),
                per_event(client_before, client),
                bytes(relay.resident),
                bytes(relay.peak),
                bytes(client.resident),
            ),
        );
        compare(name, &measured, direct, relay);
    }
    aimed(
        "relay, idle",
        &bytes(idle.resident),
        "under 12 MB",
        idle.resident < 12_000_000,
    );
    Ok(())
}

fn compare(name: &str, measured: &Measured, direct: &Measured, relay: Usage) {
    let acknowledged = measured.sent.acknowledged.percentile(0.5);
    let ratio = acknowledged.as_secs_f64()
        / direct
            .sent
            .acknowledged
            .percentile(0.5)
            .as_secs_f64()
            .max(1e-9);
    let reached = rate(measured.delivered, measured.whole);
    match name {
        "1 sender, hot" => aimed(
            "answer p50 against direct",
            &format!("{ratio:.1} ×"),
            "under 8 ×",
            ratio < 8.0,
        ),
        "64 senders" => {
            aimed(
                "delivered",
                &format!("{reached:.0}/s"),
                "15,000/s",
                reached >= 15_000.0,
            );
            let p99 = measured.sent.acknowledged.percentile(0.99);
            aimed(
                "answer p99",
                &time(p99),
                "under 20 ms",
                p99 < Duration::from_millis(20),
            );
            let delivery = measured.delivery_p99;
            aimed(
                "delivery p99",
                &time(delivery),
                "under 20 ms",
                delivery < Duration::from_millis(20),
            );
            aimed(
                "relay, peak under load",
                &bytes(relay.peak),
                "under 60 MB",
                relay.peak < 60_000_000,
            );
        }
        _ => figure("", &format!("answer p50 against direct: {ratio:.1} ×")),
    }
    if measured.sent.refused > 0 {
        figure("", &format!("{} refused (503)", measured.sent.refused));
    }
}

async fn big_body(sink: &Sink) -> Result<()> {
    headline("A body of 25 MiB");
    let mut nodes = Nodes::start(sink).await?;
    let warm_up = nodes.load(1, Duration::ZERO, Until::Count(20));
    measure(sink, &warm_up)?;
    let (relay_before, client_before) = (nodes.relay_usage(), nodes.client_usage());
    let request = sender::post(&nodes.path, &vec![b'x'; 25 * 1024 * 1024]);
    sink.forget();
    let start = Instant::now();
    let reply = sender::send(nodes.relay.address(), &request).await;
    let acknowledged = start.elapsed();
    ensure!(
        reply.status() == 200,
        "the body is refused: {}",
        reply.text()
    );
    while sink.count() < 1 {
        ensure!(
            start.elapsed() < Duration::from_secs(60),
            "the body does not arrive"
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    figure(
        "answered after, delivered after",
        &format!("{}, {}", time(acknowledged), time(start.elapsed())),
    );
    let (relay, client) = (nodes.relay_usage(), nodes.client_usage());
    for (name, before, after) in [
        ("relay", relay_before, relay),
        ("client", client_before, client),
    ] {
        figure(
            &format!("peak of the {name}, and above the time before"),
            &format!(
                "{}, {}",
                bytes(after.peak),
                bytes(after.peak.saturating_sub(before.resident))
            ),
        );
    }
    Ok(())
}

async fn idle_consumers(size: &Size) -> Result<()> {
    headline("Idle consumers");
    let folder = tempfile::tempdir()?;
    let mut relay = start_relay(folder.path()).await?;
    let before = usage_of(relay.process().pid());
    let mut idle = IdleConsumers::default();
    for count in size.idle {
        let start = Instant::now();
        if let Err(error) = idle.grow_to(count, &relay).await {
            figure(
                &format!("{count} consumers"),
                &format!("not reached: {error} (at {})", idle.count()),
            );
            return Ok(());
        }
        let connecting = start.elapsed();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let after = usage_of(relay.process().pid());
        let each = after.resident.saturating_sub(before.resident) / count as u64;
        aimed(
            &format!("{count} consumers ({} to connect)", time(connecting)),
            &format!("{}, {} each", bytes(after.resident), bytes(each)),
            "under 12 kB",
            each < 12_000,
        );
    }
    Ok(())
}

async fn kept_events(sink: &Sink, size: &Size) -> Result<()> {
    headline(&format!("0 and {} kept events", size.kept));
    let folder = tempfile::tempdir()?;
    let mut relay = start_relay(folder.path()).await?;
    let path = path_of(&relay.api().open_endpoint("bench").await);
    let load = |until| Load {
        address: relay.address(),
        path: path.clone(),
        senders: 64,
        pause: Duration::ZERO,
        until,
    };
    let (listing, fill) = (load(Until::Count(200)), load(Until::Count(size.kept)));
    let ingest = load(Until::Time(size.load / 2));
    load::send(&listing)?;
    let first = ingest_and_list(&mut relay, &ingest).await?;
    figure("at the beginning", &first);
    let filled = load::send(&fill)?;
    figure(
        "filling",
        &format!(
            "{:.0}/s over {}",
            rate(filled.acknowledged.count(), filled.duration()),
            time(filled.duration())
        ),
    );
    let last = ingest_and_list(&mut relay, &ingest).await?;
    figure("at the end", &last);
    let _client = start_client(&folder.path().join("home"), &relay, sink, "now").await;
    let hot = Load {
        senders: 1,
        until: Until::Time(size.load / 2),
        ..ingest
    };
    figure(
        "a new consumer then, 1 sender, hot",
        &times(&measure(sink, &hot)?),
    );
    Ok(())
}

async fn ingest_and_list(relay: &mut RelayProcess, ingest: &Load) -> Result<String> {
    let sent = load::send(ingest)?;
    let api = relay.api();
    let mut listings = crate::latency::Latencies::default();
    for _ in 0..20 {
        let start = Instant::now();
        let reply = api
            .call("GET", "/v1/events?endpoint=bench&limit=100", None)
            .await;
        ensure!(
            reply.status() == 200,
            "the list is refused: {}",
            reply.text()
        );
        listings.add(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    let usage = usage_of(relay.process().pid());
    Ok(format!(
        "{:.0}/s kept, p99 {}; newest 100 in {} (p50); relay {} (peak {})",
        rate(sent.acknowledged.count(), sent.duration()),
        time(sent.acknowledged.percentile(0.99)),
        time(listings.percentile(0.5)),
        bytes(usage.resident),
        bytes(usage.peak),
    ))
}

/// A relay and a client as processes.
struct Nodes {
    relay: RelayProcess,
    client: ClientProcess,
    path: String,
    _folder: TempDir,
}

impl Nodes {
    async fn start(sink: &Sink) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let relay = start_relay(folder.path()).await?;
        let path = path_of(&relay.api().open_endpoint("bench").await);
        let client = start_client(&folder.path().join("home"), &relay, sink, "beginning").await;
        Ok(Self {
            relay,
            client,
            path,
            _folder: folder,
        })
    }

    fn load(&self, senders: usize, pause: Duration, until: Until) -> Load {
        Load {
            address: self.relay.address(),
            path: self.path.clone(),
            senders,
            pause,
            until,
        }
    }

    fn relay_usage(&mut self) -> Usage {
        usage_of(self.relay.process().pid())
    }

    fn client_usage(&mut self) -> Usage {
        usage_of(self.client.process().pid())
    }
}

/// All consumers come from one address here.
async fn start_relay(folder: &Path) -> Result<RelayProcess> {
    let settings = folder.join("relay.toml");
    std::fs::write(&settings, "[limits]\nmax_connections_per_address = 20000\n")?;
    let settings = settings.to_str().context("the path is not text")?;
    Ok(RelayProcess::start(folder, &["--config", settings]).await)
}

async fn start_client(
    home: &Path,
    relay: &RelayProcess,
    sink: &Sink,
    since: &str,
) -> ClientProcess {
    let app = format!("http://{}", sink.address());
    let arguments = ["--as", "bench", "--since", since, "--concurrency", "64"];
    let client = ClientProcess::start_quiet(home, relay, "bench", &app, &arguments);
    relay.wait_until_connected("bench", "bench").await;
    client
}

fn usage_of(pid: u32) -> Usage {
    of_process(pid).unwrap_or_default()
}
