//! Reads and rewrites arbitrary folder contents. Only for the fuzz targets; nothing here is part of the crate's
//! interface.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use bridgehead_sdk::{Completion, Error, Operation, Record, RejectedRecord};
use jiff::Timestamp;

use crate::layout::Layout;
use crate::listing::Listings;
use crate::operations::Folder;
use crate::settings::Settings;

/// Lists the resource type `slug` of a folder to its end.
pub fn list(
    settings: &Settings,
    folder: &Path,
    slug: &str,
) -> Result<(Vec<Record>, Vec<RejectedRecord>), Error> {
    let read = || {
        let layout = Arc::new(Layout::discover(settings, folder)?);
        let listings = Listings::new();
        let (mut records, mut rejected, mut cursor) = (Vec::new(), Vec::new(), None);
        loop {
            let mut page = listings.page(&layout, slug, cursor.as_ref())?;
            records.append(&mut page.records);
            rejected.append(&mut page.rejected);
            cursor = page.next;
            if cursor.is_none() {
                return Ok((records, rejected));
            }
        }
    };
    read().map_err(|error: crate::error::Error| error.for_listing("acme-hr"))
}

/// Executes an operation on a folder.
pub fn execute(settings: &Settings, folder: &Path, operation: &Operation) -> Result<Completion, Error> {
    let layout = Layout::discover(settings, folder).map_err(|error| error.for_task("acme-hr"))?;
    Folder { layout: &layout, system: "acme-hr", now: Timestamp::UNIX_EPOCH, written: Cell::default() }
        .execute(operation)
}
