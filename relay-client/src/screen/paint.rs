//! The few colours, from the terminal's own sixteen so that they suit dark and light themes. A colour never says
//! anything that the words beside it do not say.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
// Yellow cannot be read on white.
const ODD: Style = AnsiColor::Magenta.on_default();
const STRONG: Style = Style::new().bold();
const QUIET: Style = Style::new().dimmed();
const LINK: Style = AnsiColor::Cyan.on_default().underline();

/// Something went as it should.
pub fn good(text: impl Display) -> String {
    paint(GOOD, text)
}

/// Something failed.
pub fn bad(text: impl Display) -> String {
    paint(BAD, text)
}

/// Something is worth a look.
pub fn odd(text: impl Display) -> String {
    paint(ODD, text)
}

/// The main thing of a line.
pub fn strong(text: impl Display) -> String {
    paint(STRONG, text)
}

/// The side matter of a line.
pub fn quiet(text: impl Display) -> String {
    paint(QUIET, text)
}

/// An address.
pub fn link(text: impl Display) -> String {
    paint(LINK, text)
}

fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}
