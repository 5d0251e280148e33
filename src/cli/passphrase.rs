//! A passphrase, typed unseen or piped in.

use std::io::{self, BufRead, IsTerminal, Write};

use zeroize::Zeroizing;

use super::exit::usage;
use super::keys;
use crate::engine::{Failure, Passphrase};

/// How often it is to be typed on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It opens something: a typing error shows.
    Once,
    /// It closes something: a typing error would close it for good.
    Twice,
}

/// More than a passphrase has, bytes.
const MAX_LINE: u64 = 4096;

/// Asks on the terminal, or reads one line of standard input where that is none.
pub fn ask(asked: Asked) -> Result<Passphrase, Failure> {
    let text = if io::stdin().is_terminal() { typed(asked)? } else { line_of(io::stdin().lock())? };
    Passphrase::new(text).map_err(|why| usage(why.to_string()))
}

fn typed(asked: Asked) -> Result<String, Failure> {
    let first = prompt("Passphrase: ")?;
    if asked == Asked::Twice && *Zeroizing::new(prompt("Once more: ")?) != first {
        return Err(usage("the two passphrases are not the same; try again"));
    }
    Ok(first)
}

/// The question goes to stderr, where it is seen while the output is a program's.
fn prompt(question: &str) -> Result<String, Failure> {
    let mut err = io::stderr();
    let _ = write!(err, "{question}").and_then(|()| err.flush());
    let answer = keys::read_unseen();
    let _ = writeln!(err);
    answer
}

fn line_of(input: impl BufRead) -> Result<String, Failure> {
    let mut line = String::new();
    input
        .take(MAX_LINE)
        .read_line(&mut line)
        .map_err(|why| usage(format!("the passphrase cannot be read from standard input: {why}")))?;
    let end = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(end);
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_read_as_it_is() {
        assert_eq!(line_of(&b" two words \r\nmore"[..]), Ok(" two words ".into()));
        assert_eq!(line_of(&b""[..]), Ok(String::new()));
        assert!(line_of(&b"\xff\xff\n"[..]).is_err());
        assert_eq!(line_of(&vec![b'x'; 10_000][..]).map(|line| line.len()), Ok(4096));
    }
}
