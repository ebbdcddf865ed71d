//! Which words and names do not belong here?

use super::Finding;
use super::tree::File;

/// Words that put work off without saying to whom. Written in halves, or this file would break its own rule.
const PUT_OFF: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 6] = ["utils", "util", "helpers", "helper", "common", "misc"];

/// Folders of one machine; the slash at their end keeps names like `/homepage` out.
const MACHINE_FOLDERS: [&str; 3] = [
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/wo", "rk/"),
];

/// Checks every line of a text that people wrote.
pub(super) fn check(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    if file.is_generated() || file.path.starts_with("LICENSE-") || file.path.contains("/fixtures/") {
        return findings;
    }
    for (index, line) in file.text.lines().enumerate() {
        let mut report = |rule, message| {
            findings.push(Finding {
                path: file.path.clone(),
                line: index + 1,
                rule,
                message,
            });
        };
        if line.ends_with([' ', '\t', '\r']) {
            report("trailing-space", "remove it".to_owned());
        }
        for word in PUT_OFF.into_iter().filter(|word| holds_word(line, word)) {
            report("put-off", format!("do it or open an issue instead of {word}"));
        }
        for folder in MACHINE_FOLDERS
            .into_iter()
            .filter(|folder| holds_path(line, folder))
        {
            report(
                "machine-path",
                format!("{folder} exists on one machine only; use a relative or temporary path"),
            );
        }
        if let Some(name) = module(line).filter(|name| EMPTY_NAMES.contains(name)) {
            report("empty-name", format!("call module `{name}` after what is in it"));
        }
    }
    findings
}

/// Checks the words of a path.
pub(super) fn check_names(path: &str) -> Option<Finding> {
    let is_empty = |part: &str| EMPTY_NAMES.contains(&part.split('.').next().unwrap_or_default());
    path.split('/').any(is_empty).then(|| Finding {
        path: path.to_owned(),
        line: 1,
        rule: "empty-name",
        message: "call it after what is in it".to_owned(),
    })
}

/// The name of the module that this line declares.
fn module(line: &str) -> Option<&str> {
    let (before, after) = line.trim().split_once("mod ")?;
    let is_declaration = before.is_empty() || (before.starts_with("pub") && before.ends_with(' '));
    let name = after.split([';', ' ', '{']).next()?;
    is_declaration.then_some(name)
}

fn holds_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// Whether a path begins with `folder` here, and does not merely contain it as an address on the web does.
fn holds_path(line: &str, folder: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || "_-.~/}".contains(c);
    line.match_indices(folder)
        .any(|(start, _)| !line[..start].chars().next_back().is_some_and(is_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<&'static str> {
        let file = File {
            path: "crates/x/src/a.rs".to_owned(),
            text: text.to_owned(),
        };
        check(&file).iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn finds_work_put_off() {
        for word in PUT_OFF {
            assert_eq!(rules(&format!("// {word}: later\n")), ["put-off"]);
            assert_eq!(rules(&format!("// {word}S_MAX\n")), [""; 0], "another word");
        }
    }

    #[test]
    fn finds_spaces_that_nobody_sees() {
        assert_eq!(rules("fn f() {} \n"), ["trailing-space"]);
        assert_eq!(rules("\t\n"), ["trailing-space"]);
        assert_eq!(rules("fn f() {}\n\n"), [""; 0]);
    }

    #[test]
    fn finds_paths_of_one_machine() {
        for folder in MACHINE_FOLDERS {
            assert_eq!(rules(&format!("open(\"{folder}x\")\n")), ["machine-path"]);
            assert_eq!(rules(&format!("see https://example.org{folder}x\n")), [""; 0]);
            assert_eq!(rules(&format!("\"$TMP{{}}{folder}x\"\n")), [""; 0]);
        }
    }

    #[test]
    fn finds_names_that_say_nothing() {
        for line in ["mod utils;", "pub mod common {", "pub(crate) mod misc;"] {
            assert_eq!(rules(line), ["empty-name"], "{line}");
        }
        assert_eq!(rules("mod frame;\nuse crate::commons;\n"), [""; 0]);
        assert!(check_names("crates/x/src/helpers.rs").is_some());
        assert!(check_names("crates/common/src/lib.rs").is_some());
        assert!(check_names("crates/x/src/commons.rs").is_none());
    }

    #[test]
    fn leaves_generated_text_alone() {
        let file = File {
            path: "crates/x/src/generated/a.rs".to_owned(),
            text: "mod common; \n".to_owned(),
        };

        assert_eq!(check(&file), []);
    }
}
