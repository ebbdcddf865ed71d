//! Is every file small enough to be read in one sitting?

use super::Finding;
use super::tree::File;

/// Lines of code in a file, without comments, blank lines and inline tests.
const FILE_LINES_MAX: usize = 500;
/// The same for a `lib.rs`, which is a document with modules and re-exports.
const LIB_LINES_MAX: usize = 80;
/// The same for a file of tests, which is a list that nobody reads as a whole.
const TESTS_LINES_MAX: usize = 1000;

/// Files that may be longer, with how long; the list may only shrink.
pub(super) const RATCHET: &[(&str, usize)] = &[];

/// Checks one file against its bound.
pub(super) fn check(file: &File, ratchet: &[(&str, usize)]) -> Option<Finding> {
    let lines = code_lines(&file.text);
    let general = if file.path.ends_with("/lib.rs") {
        LIB_LINES_MAX
    } else if file.path.ends_with("/tests.rs") || file.path.ends_with("_tests.rs") {
        TESTS_LINES_MAX
    } else {
        FILE_LINES_MAX
    };
    let exception = ratchet
        .iter()
        .find(|(path, _)| *path == file.path)
        .map(|(_, bound)| *bound);
    let message = match exception {
        Some(bound) if lines <= general => {
            format!("{lines} lines of code: strike its {bound} off the ratchet list")
        }
        Some(bound) if lines < bound => {
            format!("{lines} lines of code: lower its {bound} in the ratchet list")
        }
        Some(bound) if bound < lines => {
            format!("{lines} lines of code, {bound} allowed: split it by what changes together")
        }
        None if general < lines => {
            format!("{lines} lines of code, {general} allowed: split it by what changes together")
        }
        Some(_) | None => return None,
    };
    Some(Finding {
        path: file.path.clone(),
        line: 1,
        rule: "size",
        message,
    })
}

/// Counts what is neither blank nor a comment, and leaves inline test modules out.
fn code_lines(text: &str) -> usize {
    let mut count = 0;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" {
            while lines.next_if(|line| line.starts_with("#[")).is_some() {}
            if lines
                .next_if(|line| line.starts_with("mod ") && line.ends_with('{'))
                .is_some()
            {
                // rustfmt puts the closing brace, and nothing else of the module, at the line's start.
                while lines.next().is_some_and(|line| line != "}") {}
                continue;
            }
        }
        let line = line.trim_start();
        if !line.is_empty() && !line.starts_with("//") {
            count += 1;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, lines: usize) -> File {
        File {
            path: path.to_owned(),
            text: "let a = 1;\n".repeat(lines),
        }
    }

    #[test]
    fn counts_neither_words_nor_inline_tests() {
        let text = "//! Why.\n\n/// What.\nfn f() {\n    // because\n    g();\n}\n\n\
                    #[cfg(test)]\nmod tests {\n    fn t() {\n    }\n}\nfn h() {}\n#[cfg(test)]\nmod tests;\n";

        assert_eq!(code_lines(text), 6);
    }

    #[test]
    fn finds_a_file_over_its_bound() {
        assert_eq!(check(&file("crates/x/src/a.rs", FILE_LINES_MAX), &[]), None);
        assert!(check(&file("crates/x/src/a.rs", FILE_LINES_MAX + 1), &[]).is_some());
        assert_eq!(check(&file("crates/x/src/lib.rs", LIB_LINES_MAX), &[]), None);
        assert!(check(&file("crates/x/src/lib.rs", LIB_LINES_MAX + 1), &[]).is_some());
        assert_eq!(
            check(&file("crates/x/src/a_tests.rs", TESTS_LINES_MAX), &[]),
            None
        );
        assert!(check(&file("crates/x/src/a/tests.rs", TESTS_LINES_MAX + 1), &[]).is_some());
    }

    #[test]
    fn lets_the_ratchet_turn_one_way() {
        let ratchet: &[(&str, usize)] = &[("a.rs", 600)];

        assert_eq!(check(&file("a.rs", 600), ratchet), None);
        for (lines, word) in [(601, "split"), (599, "lower"), (500, "strike")] {
            let finding = check(&file("a.rs", lines), ratchet).expect("it is not at its bound");
            assert!(finding.message.contains(word), "{finding}");
        }
    }
}
