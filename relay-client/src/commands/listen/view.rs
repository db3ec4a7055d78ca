//! Shows what happens while listening, as lines for a person or as JSON.

use std::io;

use tokio::sync::mpsc;

use super::super::{Context, wall_clock};
use super::plan::Plan;
use crate::listen::{News, Route, Summary};
use crate::screen::Screen;
use crate::screen::event_lines::Layout;
use crate::screen::listen_json::Line;
use crate::screen::listen_lines::{self, ListenLines, Session, Shown, ShownRoute};

/// What can be shown.
#[derive(Debug)]
pub(super) enum Show {
    News(News),
    Summary(Summary),
}

/// The screen of a run.
pub(super) struct View {
    session: Session,
    lines: ListenLines,
    screen: Screen,
    is_json: bool,
}

impl View {
    pub(super) fn new(plan: &Plan, secret_from: Option<String>, context: &Context) -> Self {
        let session = Session {
            endpoint: plan.endpoint.to_string(),
            consumer: plan.consumer.to_string(),
            target: match plan.skips_unrouted {
                true => String::new(),
                false => plan.delivery.target.to_string(),
            },
            routes: plan.routes.iter().map(shown).collect(),
            secret_from,
            is_concurrent: plan.concurrency > 1,
        };
        Self {
            lines: ListenLines::new(session.clone()),
            session,
            screen: context.screen.clone(),
            is_json: context.global.json,
        }
    }

    /// Shows one after the other until no more can come. Blocks while nobody reads stdout.
    pub(super) fn show_all(mut self, mut waiting: mpsc::Receiver<Show>) -> io::Result<()> {
        while let Some(one) = waiting.blocking_recv() {
            match one {
                Show::News(news) => self.news(&news)?,
                Show::Summary(summary) => self.summary(&summary)?,
            }
        }
        Ok(())
    }

    fn news(&mut self, news: &News) -> io::Result<()> {
        if self.is_json {
            return self.screen.json(&Line::of(news, &self.session));
        }
        self.screen.measure();
        let layout = Layout::new(self.screen.terminal_columns(), self.screen.zone().clone());
        for shown in self.lines.lines(news, wall_clock::now(), &layout) {
            match shown {
                Shown::Data(line) => self.screen.data(&line)?,
                Shown::Notice(line) => self.screen.notice(&line),
            }
        }
        Ok(())
    }

    fn summary(&self, summary: &Summary) -> io::Result<()> {
        if self.is_json {
            return self.screen.json(&Line::summary(summary));
        }
        for line in listen_lines::summary(summary) {
            self.screen.notice(&line);
        }
        Ok(())
    }
}

fn shown(route: &Route) -> ShownRoute {
    ShownRoute {
        when: route.when.to_string(),
        target: route.target.to_string(),
    }
}
