//! Which rules of the house does no compiler check?
//!
//! Each module below holds one group of rules as functions of plain values, so that a unit test can show each rule
//! fail. A finding is one line `path:line: rule: what to do`; all are reported, not only the first.

mod docs;
mod graph;
mod layers;
mod manifests;
mod rebuild;
mod size;
mod text;
mod tree;

use std::fmt;

use anyhow::{Result, bail};

use crate::cargo::Workspace;

/// One breach of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// From the top of the workspace, with `/`.
    path: String,
    /// Counted from 1.
    line: usize,
    rule: &'static str,
    /// What to do about it.
    message: String,
}

/// Checks every rule and prints all findings; fails if there is one.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let tree = tree::Tree::read(&workspace.top)?;
    let packages = graph::read(workspace)?;

    let mut findings = tree::check(&tree.paths);
    findings.extend(layers::check(&packages));
    findings.extend(manifests::check(&packages, &tree));
    findings.extend(rebuild::check(workspace)?);
    findings.extend(docs::check_map(&packages, &tree));
    for file in &tree.files {
        findings.extend(text::check(file));
        if file.is_own_rust() {
            findings.extend(size::check(file, size::RATCHET));
            findings.extend(docs::check_head(file));
        }
    }
    findings.extend(tree.paths.iter().flat_map(|path| text::check_names(path)));
    findings.sort();
    findings.dedup();

    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("tidy: {} to mend", findings.len());
    }
    println!(
        "tidy: {} files and {} packages are in order",
        tree.paths.len(),
        packages.len()
    );
    Ok(())
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.path, self.line, self.rule, self.message)
    }
}
