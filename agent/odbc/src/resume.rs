//! Where an interrupted fetch goes on. In: the query, rows and bytes written, the last key. Out: a small file beside the
//! part. Invariant: written after the bytes it speaks of are on the disk, so the part is cut back to it, never short of it;
//! a point of another query is not used.
//! Specification: docs/OPERATIONS.md, "Databases".

use std::path::{Path, PathBuf};

use hedui_edge::{Problem, files};
use hedui_protocol::primitive::{hex, sha256};
use serde::{Deserialize, Serialize};

use crate::query::Source;

/// A point of a fetch.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    query: String,
    /// Rows written.
    pub rows: u64,
    /// Bytes written, the head included.
    pub bytes: u64,
    /// Key of the last row.
    pub key: String,
    /// Whether the key is a whole number in the database.
    pub number: bool,
    /// Names of the columns.
    pub head: Vec<String>,
}

/// The two files of a fetch in progress.
pub struct Files {
    /// The rows so far.
    pub part: PathBuf,
    point: PathBuf,
    query: String,
}

impl Files {
    /// Beside the file that is written.
    pub fn of(source: &Source) -> Self {
        let beside = |ending: &str| {
            let mut name = source.file.file_name().unwrap_or_default().to_os_string();
            name.push(ending);
            source.file.with_file_name(name)
        };
        let asked = [&source.connection, &source.user, &source.query, &source.key];
        let parts: Vec<&[u8]> = asked
            .iter()
            .flat_map(|text| [text.as_bytes(), &[0]])
            .collect();
        Self {
            part: beside(".fetch"),
            point: beside(".fetch-point"),
            query: hex(&sha256(&parts)),
        }
    }

    /// The point of an interrupted fetch of the same query, if its part is still there in full.
    pub fn read(&self) -> Option<Point> {
        let text = files::read_text(&self.point).ok()?;
        let point: Point = serde_json::from_str(&text).ok()?;
        let len = std::fs::metadata(&self.part).ok()?.len();
        (point.query == self.query && len >= point.bytes && point.rows > 0).then_some(point)
    }

    /// Notes a point; the bytes must be on the disk already.
    pub fn write(
        &self,
        rows: u64,
        bytes: u64,
        key: &str,
        (number, head): (bool, &[String]),
    ) -> Result<(), Problem> {
        let point = Point {
            query: self.query.clone(),
            rows,
            bytes,
            key: key.to_owned(),
            number,
            head: head.to_vec(),
        };
        let text = serde_json::to_string(&point)
            .map_err(|error| Problem::data(error.to_string(), "report this"))?;
        files::write_bytes(&self.point, text.as_bytes())
    }

    /// Forgets the point, and the part with it.
    pub fn forget(&self) {
        remove(&self.point);
        remove(&self.part);
        files::sync_folder(self.part.parent().unwrap_or(Path::new(".")));
    }
}

fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
}
