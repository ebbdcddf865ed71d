//! Conversions of files, folders and blocks.

use rustle_types::content::HashFunction;
use rustle_unixfs::{Metadata, ModifiedAt};

use super::{Unreadable, field, fields, required, texts};
use crate::fault::Fault;
use crate::parse;
use crate::proto;
use crate::proto::add_options::Profile as WireProfile;
use crate::proto::content_add_response::Response as AddAnswer;
use crate::proto::content_dag_get_request::Form;
use crate::proto::content_export_car_response::Response as CarAnswer;
use crate::proto::content_get_response::Response as GetAnswer;
use crate::views::{
    AddEntry, AddNews, AddOptions, AddedEntry, AddedRoots, CarImported, CarPart, ContentStat, DagCount,
    DagForm, EntryBody, EntryKind, GetEntry, GetPart, ImportChoices, ListEntry, Profile, StoredBlock,
};

impl From<EntryKind> for proto::EntryKind {
    fn from(kind: EntryKind) -> Self {
        match kind {
            EntryKind::Unknown => Self::Unspecified,
            EntryKind::File => Self::File,
            EntryKind::Folder => Self::Folder,
            EntryKind::Symlink => Self::Symlink,
            EntryKind::Other => Self::Other,
        }
    }
}

/// A kind; one that this version does not know is unknown.
fn kind(number: i32) -> EntryKind {
    match proto::EntryKind::try_from(number) {
        Ok(proto::EntryKind::File) => EntryKind::File,
        Ok(proto::EntryKind::Folder) => EntryKind::Folder,
        Ok(proto::EntryKind::Symlink) => EntryKind::Symlink,
        Ok(proto::EntryKind::Other) => EntryKind::Other,
        Ok(proto::EntryKind::Unspecified) | Err(_) => EntryKind::Unknown,
    }
}

fn wire_mtime(metadata: &Metadata) -> Option<proto::Mtime> {
    metadata.mtime.map(|time| proto::Mtime {
        seconds: time.seconds,
        nanos: time.nanos.unwrap_or(0),
    })
}

fn metadata(mode: Option<u32>, mtime: Option<proto::Mtime>) -> Metadata {
    let mtime = mtime.map(|time| ModifiedAt {
        seconds: time.seconds,
        nanos: (time.nanos != 0).then_some(time.nanos),
    });
    Metadata { mode, mtime }
}

// === adding ===

impl From<AddOptions> for proto::AddOptions {
    fn from(options: AddOptions) -> Self {
        let choices = options.choices;
        let profile = match choices.profile {
            Profile::V0 => WireProfile::V0,
            Profile::V1 => WireProfile::V1,
            Profile::V1Of2025 => WireProfile::V12025,
        };
        let hash = match choices.hash {
            HashFunction::Sha2_256 => String::new(),
            other => other.to_string(),
        };
        Self {
            profile: profile.into(),
            cid_version: choices.cid_version.map(u32::from),
            raw_leaves: choices.raw_leaves,
            chunk_bytes: choices.chunk_bytes,
            hash,
            inline_bytes: choices.inline_bytes,
            wrap: options.wrap,
            only_hash: options.only_hash,
            unpinned: !options.pin,
            each_entry: options.each_entry,
        }
    }
}

impl TryFrom<proto::AddOptions> for AddOptions {
    type Error = Fault;

    fn try_from(options: proto::AddOptions) -> Result<Self, Fault> {
        let profile = match WireProfile::try_from(options.profile) {
            Ok(WireProfile::Unspecified | WireProfile::V0) => Profile::V0,
            Ok(WireProfile::V1) => Profile::V1,
            Ok(WireProfile::V12025) => Profile::V1Of2025,
            Err(_) => {
                let number = options.profile;
                let message = format!("profile {number} is not known to this daemon");
                return Err(Fault::bad_argument(message));
            }
        };
        let version = |number: u32| u8::try_from(number).unwrap_or(u8::MAX);
        let choices = ImportChoices {
            profile,
            cid_version: options.cid_version.map(version),
            raw_leaves: options.raw_leaves,
            chunk_bytes: options.chunk_bytes,
            hash: parse::hash_function(&options.hash)?,
            inline_bytes: options.inline_bytes,
        };
        choices.import_profile()?;
        Ok(Self {
            choices,
            wrap: options.wrap,
            only_hash: options.only_hash,
            pin: !options.unpinned,
            each_entry: options.each_entry,
        })
    }
}

impl From<AddEntry> for proto::AddEntry {
    fn from(entry: AddEntry) -> Self {
        let (kind, target) = match entry.body {
            EntryBody::File => (proto::EntryKind::File, bytes::Bytes::new()),
            EntryBody::Folder => (proto::EntryKind::Folder, bytes::Bytes::new()),
            EntryBody::Symlink(target) => (proto::EntryKind::Symlink, target),
        };
        Self {
            path: entry.path,
            kind: kind.into(),
            mode: entry.metadata.mode,
            mtime: wire_mtime(&entry.metadata),
            target,
        }
    }
}

impl TryFrom<proto::AddEntry> for AddEntry {
    type Error = Fault;

    fn try_from(entry: proto::AddEntry) -> Result<Self, Fault> {
        parse::entry_path(&entry.path)?;
        let body = match kind(entry.kind) {
            EntryKind::File => EntryBody::File,
            EntryKind::Folder => EntryBody::Folder,
            EntryKind::Symlink => {
                parse::link_target(&entry.target)?;
                EntryBody::Symlink(entry.target)
            }
            EntryKind::Unknown | EntryKind::Other => {
                return Err(Fault::bad_argument(
                    "an entry is a file, a folder or a symbolic link",
                ));
            }
        };
        Ok(Self {
            path: entry.path,
            body,
            metadata: metadata(entry.mode, entry.mtime),
        })
    }
}

impl From<AddedEntry> for proto::AddedEntry {
    fn from(entry: AddedEntry) -> Self {
        Self {
            path: entry.path,
            cid: entry.cid.to_string(),
            bytes: entry.bytes,
            kind: proto::EntryKind::from(entry.kind).into(),
        }
    }
}

impl TryFrom<proto::AddedEntry> for AddedEntry {
    type Error = Unreadable;

    fn try_from(entry: proto::AddedEntry) -> Result<Self, Unreadable> {
        Ok(Self {
            path: entry.path,
            cid: field("cid", &entry.cid)?,
            bytes: entry.bytes,
            kind: kind(entry.kind),
        })
    }
}

impl From<AddNews> for proto::ContentAddResponse {
    fn from(news: AddNews) -> Self {
        let response = match news {
            AddNews::Entry(entry) => AddAnswer::Entry(entry.into()),
            AddNews::Roots(roots) => AddAnswer::Roots(proto::AddedRoots {
                roots: roots.roots.into_iter().map(Into::into).collect(),
                bytes: roots.bytes,
                blocks: roots.blocks,
            }),
        };
        Self {
            response: Some(response),
        }
    }
}

impl TryFrom<proto::ContentAddResponse> for AddNews {
    type Error = Unreadable;

    fn try_from(answer: proto::ContentAddResponse) -> Result<Self, Unreadable> {
        Ok(match required("response", answer.response)? {
            AddAnswer::Entry(entry) => Self::Entry(entry.try_into()?),
            AddAnswer::Roots(roots) => Self::Roots(AddedRoots {
                roots: roots
                    .roots
                    .into_iter()
                    .map(TryInto::try_into)
                    .collect::<Result<_, _>>()?,
                bytes: roots.bytes,
                blocks: roots.blocks,
            }),
        })
    }
}

// === reading ===

impl From<GetPart> for proto::ContentGetResponse {
    fn from(part: GetPart) -> Self {
        let response = match part {
            GetPart::Chunk(chunk) => GetAnswer::Chunk(chunk),
            GetPart::Entry(entry) => GetAnswer::Entry(proto::GetEntry {
                path: entry.path,
                kind: proto::EntryKind::from(entry.kind).into(),
                bytes: entry.bytes,
                mode: entry.metadata.mode,
                mtime: wire_mtime(&entry.metadata),
                target: entry.target,
                cid: entry.cid.to_string(),
            }),
        };
        Self {
            response: Some(response),
        }
    }
}

impl TryFrom<proto::ContentGetResponse> for GetPart {
    type Error = Unreadable;

    fn try_from(answer: proto::ContentGetResponse) -> Result<Self, Unreadable> {
        Ok(match required("response", answer.response)? {
            GetAnswer::Chunk(chunk) => Self::Chunk(chunk),
            GetAnswer::Entry(entry) => Self::Entry(GetEntry {
                path: entry.path,
                kind: kind(entry.kind),
                bytes: entry.bytes,
                metadata: metadata(entry.mode, entry.mtime),
                target: entry.target,
                cid: field("cid", &entry.cid)?,
            }),
        })
    }
}

impl From<ListEntry> for proto::ContentListResponse {
    fn from(entry: ListEntry) -> Self {
        Self {
            name: entry.name,
            cid: entry.cid.to_string(),
            cumulative_bytes: entry.tsize,
            kind: proto::EntryKind::from(entry.kind).into(),
            bytes: entry.bytes,
        }
    }
}

impl TryFrom<proto::ContentListResponse> for ListEntry {
    type Error = Unreadable;

    fn try_from(entry: proto::ContentListResponse) -> Result<Self, Unreadable> {
        Ok(Self {
            name: entry.name,
            cid: field("cid", &entry.cid)?,
            tsize: entry.cumulative_bytes,
            kind: kind(entry.kind),
            bytes: entry.bytes,
        })
    }
}

impl From<ContentStat> for proto::ContentStatResponse {
    fn from(stat: ContentStat) -> Self {
        Self {
            cid: stat.cid.to_string(),
            kind: proto::EntryKind::from(stat.kind).into(),
            bytes: stat.bytes,
            cumulative_bytes: stat.tsize,
            block_bytes: stat.block_bytes,
            links: stat.links,
            sharded: stat.is_sharded,
            mode: stat.metadata.mode,
            mtime: wire_mtime(&stat.metadata),
            target: stat.target,
            codec: stat.codec,
        }
    }
}

impl TryFrom<proto::ContentStatResponse> for ContentStat {
    type Error = Unreadable;

    fn try_from(stat: proto::ContentStatResponse) -> Result<Self, Unreadable> {
        Ok(Self {
            cid: field("cid", &stat.cid)?,
            kind: kind(stat.kind),
            bytes: stat.bytes,
            tsize: stat.cumulative_bytes,
            block_bytes: stat.block_bytes,
            links: stat.links,
            is_sharded: stat.sharded,
            metadata: metadata(stat.mode, stat.mtime),
            target: stat.target,
            codec: stat.codec,
        })
    }
}

// === blocks ===

impl From<CarPart> for proto::ContentExportCarResponse {
    fn from(part: CarPart) -> Self {
        let response = match part {
            CarPart::Chunk(chunk) => CarAnswer::Chunk(chunk),
            CarPart::End { root, blocks, bytes } => CarAnswer::End(proto::ExportEnd {
                blocks,
                bytes,
                root: root.to_string(),
            }),
        };
        Self {
            response: Some(response),
        }
    }
}

impl TryFrom<proto::ContentExportCarResponse> for CarPart {
    type Error = Unreadable;

    fn try_from(answer: proto::ContentExportCarResponse) -> Result<Self, Unreadable> {
        Ok(match required("response", answer.response)? {
            CarAnswer::Chunk(chunk) => Self::Chunk(chunk),
            CarAnswer::End(end) => Self::End {
                root: field("root", &end.root)?,
                blocks: end.blocks,
                bytes: end.bytes,
            },
        })
    }
}

impl From<CarImported> for proto::ContentImportCarResponse {
    fn from(done: CarImported) -> Self {
        Self {
            roots: texts(&done.roots),
            blocks: done.blocks,
            bytes: done.bytes,
            pinned: done.is_pinned,
        }
    }
}

impl TryFrom<proto::ContentImportCarResponse> for CarImported {
    type Error = Unreadable;

    fn try_from(answer: proto::ContentImportCarResponse) -> Result<Self, Unreadable> {
        Ok(Self {
            roots: fields("roots", &answer.roots)?,
            blocks: answer.blocks,
            bytes: answer.bytes,
            is_pinned: answer.pinned,
        })
    }
}

impl From<DagForm> for Form {
    fn from(form: DagForm) -> Self {
        match form {
            DagForm::Json => Self::DagJson,
            DagForm::Cbor => Self::DagCbor,
        }
    }
}

/// The form with this number.
pub(crate) fn dag_form(number: i32) -> Result<DagForm, Fault> {
    match Form::try_from(number) {
        Ok(Form::Unspecified | Form::DagJson) => Ok(DagForm::Json),
        Ok(Form::DagCbor) => Ok(DagForm::Cbor),
        Err(_) => Err(Fault::bad_argument(format!(
            "form {number} is not known to this daemon"
        ))),
    }
}

impl From<DagCount> for proto::ContentDagStatResponse {
    fn from(count: DagCount) -> Self {
        Self {
            cid: count.cid.to_string(),
            blocks: count.blocks,
            bytes: count.bytes,
            done: count.is_done,
        }
    }
}

impl TryFrom<proto::ContentDagStatResponse> for DagCount {
    type Error = Unreadable;

    fn try_from(answer: proto::ContentDagStatResponse) -> Result<Self, Unreadable> {
        Ok(Self {
            cid: field("cid", &answer.cid)?,
            blocks: answer.blocks,
            bytes: answer.bytes,
            is_done: answer.done,
        })
    }
}

/// The answers that name a block and its length.
macro_rules! stored_block {
    ($($answer:ident),*) => {$(
        impl From<StoredBlock> for proto::$answer {
            fn from(block: StoredBlock) -> Self {
                Self {
                    cid: block.cid.to_string(),
                    bytes: block.bytes,
                }
            }
        }

        impl TryFrom<proto::$answer> for StoredBlock {
            type Error = Unreadable;

            fn try_from(answer: proto::$answer) -> Result<Self, Unreadable> {
                Ok(Self {
                    cid: field("cid", &answer.cid)?,
                    bytes: answer.bytes,
                })
            }
        }
    )*};
}

stored_block!(
    ContentDagPutResponse,
    ContentBlockPutResponse,
    ContentBlockStatResponse
);
