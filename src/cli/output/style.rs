//! Colours and the width of the terminal.

use std::io::IsTerminal;

/// How a terminal, or something else, wants its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    pub colours: bool,
    /// Whether a line can be drawn over: a terminal that understands control sequences.
    pub live: bool,
}

impl Style {
    /// Neither colours nor a live line.
    #[cfg(test)]
    pub const PLAIN: Self = Self { colours: false, live: false };

    /// Colours on terminals, unless `NO_COLOR` asks for none (<https://no-color.org>).
    pub fn of_stdout() -> Self {
        let terminal = std::io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colours: terminal && !refused, live: terminal }
    }

    /// The same for standard error, which may go elsewhere.
    pub fn on_stderr(self) -> Self {
        Self { colours: self.colours && std::io::stderr().is_terminal(), ..self }
    }

    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub fn warn(self, text: &str) -> String {
        self.wrap("33", text)
    }

    pub fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }

    pub fn accent(self, text: &str) -> String {
        self.wrap("36", text)
    }

    pub fn alarm(self, text: &str) -> String {
        self.wrap("1;97;41", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Columns of the terminal; 80 when it does not say.
pub fn columns() -> usize {
    crossterm::terminal::size().map_or(80, |(columns, _)| usize::from(columns).max(20))
}
