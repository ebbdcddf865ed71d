//! Where do answers go?
//!
//! To standard output, for people or for programs. Writes may fail, which `println!` could not tell.

use std::io::{self, BufWriter, Stdout, Write as _};

use serde::Serialize;

/// Standard output, in the form that was asked for.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    out: BufWriter<Stdout>,
}

// === impl Output ===

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            out: BufWriter::new(io::stdout()),
        }
    }

    /// Shows one answer: its JSON in one line, or its text.
    pub(crate) fn show(&mut self, json: &impl Serialize, text: impl FnOnce() -> String) -> io::Result<()> {
        if self.json {
            serde_json::to_writer(&mut self.out, json)?;
            self.out.write_all(b"\n")
        } else {
            let text = text();
            if text.is_empty() {
                Ok(())
            } else {
                writeln!(self.out, "{text}")
            }
        }
    }

    /// Whether answers are for programs.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Shows one line of text at once.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// Writes bytes of a file as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// Lets the reader see what was shown so far.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
