//! `rustle car`, `rustle dag` and `rustle block`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use rustle_admin::client::chunks;
use rustle_admin::views::{BlockQuery, CarPart, DagQuery, NewBlock, NewValue, PathQuery, StoredBlock};
use rustle_admin::{ClientError, parse};
use rustle_types::limits::CONTENT_BLOCK_BYTES_MAX;

use super::target::{Target, whole_or_nothing};
use super::{cannot_read, cannot_write, path_query, read_small};
use crate::arguments::{BlockCommand, CarCommand, Daemon, DagCommand, FormName};
use crate::commands::connect;
use crate::failure::Failure;
use crate::json;
use crate::output::Output;
use crate::progress::Progress;

/// Longest value that the daemon takes, as text.
const VALUE_BYTES_MAX: usize = 2 * CONTENT_BLOCK_BYTES_MAX;

pub(in crate::commands) async fn car(
    daemon: &Daemon,
    out: &mut Output,
    command: CarCommand,
) -> Result<(), Failure> {
    match command {
        CarCommand::Export { path, output, wait } => {
            let query = PathQuery {
                path: parse::path(&path)?,
                timeout: wait.timeout,
            };
            whole_or_nothing(export(daemon, out, &query, output)).await
        }
        CarCommand::Import { file, pin_roots } => import(daemon, out, &file, pin_roots).await,
    }
}

async fn export(
    daemon: &Daemon,
    out: &mut Output,
    query: &PathQuery,
    output: Option<PathBuf>,
) -> Result<(), Failure> {
    let mut parts = connect(daemon).await?.export_car(query).await?;
    let file = output.filter(|path| path.as_os_str() != "-");
    let mut target = match &file {
        Some(path) => Some(Target::create(path).map_err(cannot_write(path))?),
        None => None,
    };
    let mut progress = Progress::new(false, None);
    let mut sent = 0;
    while let Some(part) = parts.next().await {
        match (part?, &mut target, &file) {
            (CarPart::Chunk(chunk), Some(target), Some(path)) => {
                target.file.write_all(&chunk).map_err(cannot_write(path))?;
                sent += chunk.len() as u64;
                progress.update(sent);
            }
            (CarPart::Chunk(chunk), ..) => {
                out.raw(&chunk)?;
                out.flush()?;
            }
            (CarPart::End { root, blocks, bytes }, ..) => {
                let (Some(target), Some(path)) = (target.take(), &file) else {
                    return Ok(());
                };
                target.keep(path).map_err(cannot_write(path))?;
                let done = json::ExportedCar {
                    cid: root.to_string(),
                    blocks,
                    bytes,
                    file: path.display().to_string(),
                };
                drop(progress);
                out.show(&done, || {
                    format!("{blocks} blocks, {bytes} bytes in {}", path.display())
                })?;
                return Ok(());
            }
        }
    }
    Err(Failure::Failed(
        "the daemon ended the CAR before it was complete".to_owned(),
    ))
}

async fn import(daemon: &Daemon, out: &mut Output, file: &Path, pin: bool) -> Result<(), Failure> {
    let client_of = || connect(daemon);
    let done = if file.as_os_str() == "-" {
        let client = client_of().await?;
        client.import_car(pin, chunks(tokio::io::stdin())).await
    } else {
        let opened = tokio::fs::File::open(file).await.map_err(cannot_read(file))?;
        client_of().await?.import_car(pin, chunks(opened)).await
    };
    let done = done.map_err(|error| match error {
        ClientError::Input(cause) => cannot_read(file)(cause),
        error => error.into(),
    })?;
    out.show(&json::ImportedCar::from(&done), || {
        let roots: Vec<String> = done.roots.iter().map(ToString::to_string).collect();
        roots.join("\n")
    })?;
    Ok(())
}

pub(in crate::commands) async fn dag(
    daemon: &Daemon,
    out: &mut Output,
    command: DagCommand,
) -> Result<(), Failure> {
    match command {
        DagCommand::Get { path, form, wait } => {
            let query = DagQuery {
                path: parse::path(&path)?,
                timeout: wait.timeout,
                form: form.into(),
            };
            let value = connect(daemon).await?.dag_get(&query).await?;
            out.raw(&value)?;
            if form == FormName::DagJson {
                out.raw(b"\n")?;
            }
            Ok(())
        }
        DagCommand::Put {
            file,
            form,
            hash,
            pin,
        } => {
            let value = NewValue {
                value: read_small(file, VALUE_BYTES_MAX).await?,
                form: form.into(),
                hash,
                pin,
            };
            let stored = connect(daemon).await?.dag_put(value).await?;
            show_cid(out, &stored)
        }
        DagCommand::Stat(arguments) => {
            let query = path_query(&arguments)?;
            let mut counts = connect(daemon).await?.dag_stat(&query).await?;
            let mut progress = Progress::new(false, None);
            while let Some(count) = counts.next().await {
                let count = count?;
                progress.update(count.bytes);
                if count.is_done {
                    drop(progress);
                    out.show(&json::Counted::from(&count), || {
                        format!("{} blocks, {} bytes", count.blocks, count.bytes)
                    })?;
                    return Ok(());
                }
            }
            Err(Failure::Failed(
                "the daemon ended the count before it was complete".to_owned(),
            ))
        }
    }
}

pub(in crate::commands) async fn block(
    daemon: &Daemon,
    out: &mut Output,
    command: BlockCommand,
) -> Result<(), Failure> {
    match command {
        BlockCommand::Get { cid, wait } => {
            let query = BlockQuery {
                cid: parse::cid(&cid)?,
                timeout: wait.timeout,
            };
            let bytes = connect(daemon).await?.block_get(query).await?;
            out.raw(&bytes)?;
            Ok(())
        }
        BlockCommand::Put {
            file,
            codec,
            hash,
            cid_version,
            pin,
        } => {
            let codec = parse::codec(&codec)?;
            let block = NewBlock {
                data: read_small(file, CONTENT_BLOCK_BYTES_MAX).await?,
                codec,
                hash,
                is_v0: cid_version == 0,
                pin,
            };
            let stored = connect(daemon).await?.block_put(block).await?;
            show_cid(out, &stored)
        }
        BlockCommand::Stat { cid, wait } => {
            let query = BlockQuery {
                cid: parse::cid(&cid)?,
                timeout: wait.timeout,
            };
            let stored = connect(daemon).await?.block_stat(query).await?;
            out.show(&json::StoredBlock::from(&stored), || {
                format!("{} {} bytes", stored.cid, stored.bytes)
            })?;
            Ok(())
        }
        BlockCommand::Rm { cids } => remove(daemon, out, &cids).await,
    }
}

async fn remove(daemon: &Daemon, out: &mut Output, texts: &[String]) -> Result<(), Failure> {
    let mut cids = Vec::new();
    for text in texts {
        cids.push(parse::cid(text)?);
    }
    let client = connect(daemon).await?;
    let mut removed = Vec::new();
    for cid in cids {
        client.block_remove(cid).await?;
        removed.push(cid.to_string());
    }
    let text = removed.join("\n");
    out.show(&json::Removed { removed }, || text)?;
    Ok(())
}

fn show_cid(out: &mut Output, stored: &StoredBlock) -> Result<(), Failure> {
    out.show(&json::StoredBlock::from(stored), || stored.cid.to_string())?;
    Ok(())
}
