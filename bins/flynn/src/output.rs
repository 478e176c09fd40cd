//! Where results go: text for people, a document for programs.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::failure::Failure;
use crate::progress::Progress;

/// How results are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
    /// Standard output is a terminal.
    terminal: bool,
    /// Standard error is a terminal.
    progress: bool,
    colour: bool,
}

/// How text is written: with headings and aligned columns or bare, in colour or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    /// Headings and aligned columns; else fields separated by tabs.
    pub(crate) aligned: bool,
    /// Escape sequences for colour.
    pub(crate) colour: bool,
}

impl Style {
    /// What goes into a pipe.
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self { aligned: false, colour: false };

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub(crate) fn tone(self, tone: Tone, text: &str) -> String {
        match tone {
            Tone::Plain => text.to_owned(),
            Tone::Good => self.paint("32", text),
            Tone::Busy => self.paint("33", text),
            Tone::Bad => self.paint("31", text),
            Tone::Faint => self.dim(text),
            Tone::Colour(number) => self.paint(&format!("3{}", 1 + number % 6), text),
        }
    }
}

/// What a word says about how things stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Nothing.
    Plain,
    /// All is well.
    Good,
    /// Something is under way.
    Busy,
    /// Something went wrong.
    Bad,
    /// It matters little.
    Faint,
    /// Only to tell it from others.
    Colour(u8),
}

impl Output {
    /// Looks at what standard output and standard error are.
    pub(crate) fn new(json: bool, plain: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        Self { json, terminal, progress: io::stderr().is_terminal() && !plain, colour: terminal && !plain }
    }

    /// Whether a program reads the output.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Whether a person sees the output and can answer.
    pub(crate) fn is_interactive(self) -> bool {
        self.terminal && !self.json && io::stdin().is_terminal()
    }

    /// How text is written to standard output.
    pub(crate) fn style(self) -> Style {
        Style { aligned: self.terminal, colour: self.colour }
    }

    /// Shows a result: the document with `--json`, else the text. Each command does so once.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub(crate) fn show<D: Serialize + ?Sized>(
        self,
        document: &D,
        text: impl FnOnce(Style) -> String,
    ) -> Result<(), Failure> {
        if self.json {
            let document = serde_json::to_string_pretty(document)
                .map_err(|error| Failure::failed(format!("cannot write the result as JSON: {error}")))?;
            return self.write(&format!("{document}\n"));
        }
        self.write(&text(self.style()))
    }

    /// Shows one of several documents, on a line of its own.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub(crate) fn document<D: Serialize>(self, document: &D) -> Result<(), Failure> {
        let document = serde_json::to_string(document)
            .map_err(|error| Failure::failed(format!("cannot write the result as JSON: {error}")))?;
        self.write(&format!("{document}\n"))
    }

    /// Says on standard error what belongs to no result.
    pub(crate) fn remark(self, text: &str) {
        // Nobody is left to tell if standard error is closed.
        let _ = writeln!(io::stderr(), "note: {}", printable(text));
    }

    /// Tells a person what happens on the way to the result. A program hears nothing.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub(crate) fn say(self, text: &str) -> Result<(), Failure> {
        if self.json { Ok(()) } else { self.write(&format!("{text}\n")) }
    }

    /// Writes text as it is.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub(crate) fn write(self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        Ok(stdout.flush()?)
    }

    /// Shows on a terminal that something is under way.
    pub(crate) fn progress(self, text: impl Into<String>) -> Progress {
        Progress::new(self.progress && !self.json, text)
    }
}

/// The text on one line, with control characters shown as what they are.
pub(crate) fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => line.push(' '),
            _ if character.is_control() => line.extend(character.escape_default()),
            _ => line.push(character),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_only_where_it_is_wanted() {
        let colour = Style { aligned: true, colour: true };
        assert_eq!(colour.tone(Tone::Good, "up"), "\u{1b}[32mup\u{1b}[0m");
        assert_eq!(colour.tone(Tone::Good, ""), "");
        assert_eq!(Style::PLAIN.tone(Tone::Good, "up"), "up");
        assert_eq!(Style::PLAIN.bold("up"), "up");
    }

    #[test]
    fn control_characters_are_shown() {
        assert_eq!(printable("a\tb\nc\u{7}ä"), r"a b c\u{7}ä");
    }
}
