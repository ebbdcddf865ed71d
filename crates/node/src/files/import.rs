//! Files and folders in, CIDs out.

mod file;
mod trees;

use bytes::Bytes;
use futures::StreamExt as _;
use rustle_admin::views::{
    AddEntry, AddNews, AddOptions, AddPart, AddedEntry, AddedRoots, EntryBody, EntryKind,
};
use rustle_admin::{Fault, Flow};
use rustle_types::Cid;
use rustle_unixfs::{ImportProfile, Linked, make_symlink};

use self::file::FileImport;
use self::trees::Trees;
use super::flow::{Outlet, produce};
use super::intake::Intake;
use super::pinned::announce;
use crate::faults;
use crate::shared::Shared;

/// Imports files and folders; see [`rustle_admin::ContentBackend::add`].
pub(crate) fn add(
    shared: &Shared,
    options: AddOptions,
    mut parts: Flow<AddPart>,
) -> Result<Flow<AddNews>, Fault> {
    let profile = options.choices.import_profile()?;
    let mut import = Import {
        profile,
        intake: Intake::new(shared, !options.only_hash),
        trees: Trees::new(profile, options.wrap, options.each_entry),
        file: None,
        is_unnamed: false,
        bytes: 0,
    };
    let shared = shared.clone();
    let spawner = shared.clone();
    Ok(produce(&spawner, move |outlet| async move {
        while let Some(part) = parts.next().await {
            match part? {
                AddPart::Entry(entry) => import.begin(entry).await?,
                AddPart::Chunk(chunk) => import.chunk(chunk).await?,
            }
            import.tell(&options, &outlet).await?;
        }
        import.finish(&shared, &options, &outlet).await
    }))
}

/// An import under way.
struct Import {
    profile: ImportProfile,
    intake: Intake,
    trees: Trees,
    /// The file whose bytes are coming, with its path.
    file: Option<(Bytes, FileImport)>,
    /// Whether that file has no name, and is all that is added.
    is_unnamed: bool,
    bytes: u64,
}

// === impl Import ===

impl Import {
    async fn begin(&mut self, entry: AddEntry) -> Result<(), Fault> {
        if self.is_unnamed {
            return Err(Fault::bad_argument("a file without a name is added alone"));
        }
        self.end_file().await?;
        let AddEntry { path, body, metadata } = entry;
        match body {
            EntryBody::File => {
                self.trees.check_new(&path)?;
                self.file = Some((path, FileImport::new(self.profile, metadata)));
            }
            EntryBody::Folder => self.trees.add_folder(&path, metadata)?,
            EntryBody::Symlink(target) => {
                let made = make_symlink(&self.profile, &target, &metadata);
                let (linked, block) = made.map_err(faults::folder)?;
                self.intake.put(block.cid, block.bytes).await?;
                self.add(path, linked, 0, EntryKind::Symlink)?;
            }
        }
        self.keep_folders().await
    }

    async fn chunk(&mut self, chunk: Bytes) -> Result<(), Fault> {
        if self.file.is_none() {
            self.begin_unnamed()?;
        }
        if let Some((_, file)) = &mut self.file {
            file.push(chunk, &mut self.intake).await?;
        }
        Ok(())
    }

    /// A file without a name is all there is.
    fn begin_unnamed(&mut self) -> Result<(), Fault> {
        if !self.trees.is_empty() {
            return Err(Fault::bad_argument("bytes came that are of no file"));
        }
        if self.trees.wraps() {
            return Err(Fault::bad_argument(
                "a file without a name cannot be put into a folder; name it",
            ));
        }
        self.is_unnamed = true;
        let file = FileImport::new(self.profile, rustle_unixfs::Metadata::NONE);
        self.file = Some((Bytes::new(), file));
        Ok(())
    }

    async fn end_file(&mut self) -> Result<(), Fault> {
        let Some((path, file)) = self.file.take() else {
            return Ok(());
        };
        let (linked, bytes) = file.finish(&mut self.intake).await?;
        self.bytes += bytes;
        self.add(path, linked, bytes, EntryKind::File)?;
        self.keep_folders().await
    }

    fn add(&mut self, path: Bytes, linked: Linked, bytes: u64, kind: EntryKind) -> Result<(), Fault> {
        let entry = AddedEntry {
            path,
            cid: linked.cid,
            bytes,
            kind,
        };
        self.trees.add(entry, linked)
    }

    async fn keep_folders(&mut self) -> Result<(), Fault> {
        while let Some(block) = self.trees.poll_block() {
            self.intake.put(block.cid, block.bytes).await?;
        }
        Ok(())
    }

    async fn tell(&mut self, options: &AddOptions, outlet: &Outlet<AddNews>) -> Result<(), Fault> {
        while let Some(entry) = self.trees.poll_news() {
            if options.each_entry {
                outlet.send(AddNews::Entry(entry)).await?;
            }
        }
        Ok(())
    }

    async fn finish(
        mut self,
        shared: &Shared,
        options: &AddOptions,
        outlet: &Outlet<AddNews>,
    ) -> Result<(), Fault> {
        if self.file.is_none() && self.trees.is_empty() && !self.trees.wraps() {
            // The end alone is an empty file.
            self.begin_unnamed()?;
        }
        self.end_file().await?;
        let roots = self.trees.finish()?;
        self.keep_folders().await?;
        self.tell(options, outlet).await?;
        let blocks = self.intake.blocks;
        let cids: Vec<Cid> = roots.iter().map(|root| root.cid).collect();
        let pins = if options.pin { &cids[..] } else { &[] };
        self.intake.finish(pins).await?;
        if !options.only_hash {
            for cid in cids {
                announce(shared, cid, options.pin).await;
            }
        }
        let roots = AddedRoots {
            roots,
            bytes: self.bytes,
            blocks,
        };
        outlet.send(AddNews::Roots(roots)).await
    }
}
