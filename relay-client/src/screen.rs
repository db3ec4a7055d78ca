//! What a person sees: data on stdout, notices on stderr, colour where it helps and is wanted. Text that comes from
//! outside goes through [`escape`] before it is given to anything here.

pub mod escape;
pub mod width;
pub mod quantity;
pub mod paint;
pub mod table;
pub mod verdict_words;
pub mod event_lines;
pub mod listen_lines;
pub mod listen_json;

use std::io::{self, BufRead, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use jiff::tz::TimeZone;
use serde::Serialize;

/// The columns that lines are laid out for when stdout is not a terminal; nothing is cut then.
pub const COLUMNS_WITHOUT_TERMINAL: usize = 136;

/// The terminal of this process, or what stands in its place.
#[derive(Clone, Debug)]
pub struct Screen {
    data_colour: ColorChoice,
    notice_colour: ColorChoice,
    terminal_columns: Option<usize>,
    can_ask: bool,
    zone: TimeZone,
}

/// How the person wants to be talked to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes {
    /// `--no-color`; `NO_COLOR` and `CLICOLOR` are looked at besides.
    pub no_color: bool,
    /// `--no-interaction`
    pub no_interaction: bool,
}

impl Screen {
    /// Looks at the process's streams.
    pub fn new(wishes: Wishes) -> Self {
        let colour = |choice: ColorChoice| {
            if wishes.no_color {
                ColorChoice::Never
            } else {
                choice
            }
        };
        let both_ends = io::stdin().is_terminal() && io::stderr().is_terminal();
        Self {
            data_colour: colour(AutoStream::choice(&io::stdout())),
            notice_colour: colour(AutoStream::choice(&io::stderr())),
            terminal_columns: terminal_size::terminal_size_of(io::stdout())
                .map(|(columns, _)| usize::from(columns.0)),
            can_ask: both_ends && !wishes.no_interaction,
            zone: TimeZone::system(),
        }
    }

    /// The columns of the terminal that shows stdout; `None` when none does.
    pub const fn terminal_columns(&self) -> Option<usize> {
        self.terminal_columns
    }

    /// Looks again how wide the terminal is, after it may have been resized.
    pub fn measure(&mut self) {
        if self.terminal_columns.is_some() {
            let size = terminal_size::terminal_size_of(io::stdout());
            self.terminal_columns = size.map(|(columns, _)| usize::from(columns.0));
        }
    }

    /// Whether there is a person who can be asked.
    pub const fn can_ask(&self) -> bool {
        self.can_ask
    }

    /// The time zone in which times are shown.
    pub const fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Writes one line to stdout.
    ///
    /// # Errors
    /// When stdout cannot be written; a closed pipe among it.
    pub fn data(&self, line: &str) -> io::Result<()> {
        let mut stdout = AutoStream::new(io::stdout(), self.data_colour).lock();
        writeln!(stdout, "{line}")?;
        stdout.flush()
    }

    /// Writes bytes to stdout exactly as they are.
    ///
    /// # Errors
    /// As [`Screen::data`].
    pub fn raw(&self, bytes: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        stdout.flush()
    }

    /// Writes one value as one line of JSON.
    ///
    /// # Errors
    /// As [`Screen::data`].
    pub fn json<T: Serialize>(&self, value: &T) -> io::Result<()> {
        let mut line = escape::json(&serde_json::to_string(value).map_err(io::Error::other)?);
        line.push('\n');
        self.raw(line.as_bytes())
    }

    /// Writes one line to stderr. That it cannot be written is nobody's concern.
    pub fn notice(&self, line: &str) {
        let mut stderr = AutoStream::new(io::stderr(), self.notice_colour).lock();
        let _ = writeln!(stderr, "{line}");
    }

    /// Asks a question that is answered with yes or no; anything but `y` or `yes` is no.
    ///
    /// # Errors
    /// When stdin cannot be read.
    pub fn ask(&self, question: &str) -> io::Result<bool> {
        let mut stderr = AutoStream::new(io::stderr(), self.notice_colour).lock();
        write!(stderr, "{question} [y/N] ")?;
        stderr.flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        Ok(matches!(
            answer.trim().to_ascii_lowercase().as_str(),
            "y" | "yes"
        ))
    }
}
