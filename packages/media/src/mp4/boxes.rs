//! The box structure: size, type, body; every value is checked against the enclosing box
//! before use.

use super::IndexError;
use super::source::ByteSource;

/// Maximum size of a table, bytes; a larger one is treated as an attack.
const MAX_TABLE_BYTES: u64 = 256 << 20;
/// Maximum number of sibling boxes; more are treated as an attack.
const MAX_SIBLINGS: usize = 1 << 16;
/// Maximum nesting depth of boxes. The deepest box of a real file that is
/// read is `stsd`, at level 6; code that walks boxes recursively relies on this limit.
pub(super) const MAX_DEPTH: u8 = 8;

/// Position of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BoxAt {
    /// The type (FourCC).
    pub kind: [u8; 4],
    /// Offset of the header.
    pub start: u64,
    /// Offset of the body.
    pub body: u64,
    /// Offset after the last byte; may be past the end of a truncated file at top level only.
    pub end: u64,
    /// Number of enclosing boxes.
    depth: u8,
}

impl BoxAt {
    /// Length of the body.
    pub fn body_len(self) -> u64 {
        self.end - self.body
    }

    /// The type as text.
    pub fn name(self) -> String {
        self.kind.iter().map(|b| char::from(*b)).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect()
    }
}

/// Reads the box header at `pos` inside `[.., end)`; `None` if fewer than 8 bytes are left.
/// The caller checks the box's end. The box counts as one at top level.
pub(crate) fn header(src: &impl ByteSource, pos: u64, end: u64) -> Result<Option<BoxAt>, IndexError> {
    if end.saturating_sub(pos) < 8 {
        return Ok(None);
    }
    let mut head = [0u8; 16];
    src.read_at(pos, &mut head[..8])?;
    let kind = [head[4], head[5], head[6], head[7]];
    let small = u64::from(be32(&head, 0));
    let (size, header) = match small {
        0 => (end - pos, 8),
        1 => {
            if end - pos < 16 {
                return Ok(None);
            }
            src.read_at(pos + 8, &mut head[8..])?;
            (be64(&head, 8), 16)
        }
        n => (n, 8),
    };
    if size < header {
        return Err(IndexError::broken(format!("a box at byte {pos} has a size of {size} bytes")));
    }
    let stop = pos
        .checked_add(size)
        .ok_or_else(|| IndexError::broken(format!("a box at byte {pos} has a size of {size} bytes")))?;
    Ok(Some(BoxAt { kind, start: pos, body: pos + header, end: stop, depth: 0 }))
}

/// The boxes at top level; one that extends past the end is an error.
pub(crate) fn top(src: &impl ByteSource) -> Result<Vec<BoxAt>, IndexError> {
    children(src, 0, src.len(), 0)
}

/// The direct children of a box.
///
/// # Errors
/// A box that extends past the end of the enclosing one, or one at a level below [`MAX_DEPTH`].
pub(crate) fn inside(src: &impl ByteSource, around: BoxAt) -> Result<Vec<BoxAt>, IndexError> {
    inside_from(src, around, 0)
}

/// The same if the first box is `skip` bytes after the start of the body.
pub(crate) fn inside_from(src: &impl ByteSource, around: BoxAt, skip: u64) -> Result<Vec<BoxAt>, IndexError> {
    let depth = around.depth + 1;
    if depth >= MAX_DEPTH {
        return Err(IndexError::TooDeep { at: around.start });
    }
    children(src, around.body + skip, around.end, depth)
}

fn children(src: &impl ByteSource, pos: u64, end: u64, depth: u8) -> Result<Vec<BoxAt>, IndexError> {
    let mut found = Vec::new();
    let mut at = pos;
    while let Some(b) = header(src, at, end)? {
        // QuickTime ends some containers with four zero bytes
        if b.kind == [0; 4] {
            break;
        }
        if b.end > end {
            return Err(IndexError::broken(format!(
                "box {} at byte {} extends past the enclosing box",
                b.name(),
                b.start
            )));
        }
        if found.len() >= MAX_SIBLINGS {
            return Err(IndexError::broken(format!("more than {MAX_SIBLINGS} boxes in one box")));
        }
        found.push(BoxAt { depth, ..b });
        at = b.end;
    }
    Ok(found)
}

/// The first child of that type.
pub(crate) fn find(boxes: &[BoxAt], kind: &[u8; 4]) -> Option<BoxAt> {
    boxes.iter().copied().find(|b| &b.kind == kind)
}

/// The complete body of a table.
pub(crate) fn body(src: &impl ByteSource, b: BoxAt) -> Result<Vec<u8>, IndexError> {
    let len = b.body_len();
    if len > MAX_TABLE_BYTES || b.end > src.len() {
        return Err(IndexError::broken(format!("box {} has a body of {len} bytes", b.name())));
    }
    let mut bytes = vec![0; len as usize];
    src.read_at(b.body, &mut bytes)?;
    Ok(bytes)
}

/// The table of a full box: version, and rows of `row` bytes after `skip` bytes and a 32-bit count.
pub(crate) struct Table {
    bytes: Vec<u8>,
    rows_at: usize,
    row: usize,
    /// Number of rows, checked against the size of the box.
    pub rows: usize,
}

impl Table {
    /// Loads a table; a count larger than the box is an error.
    pub fn load(src: &impl ByteSource, b: BoxAt, skip: usize, row: usize) -> Result<Table, IndexError> {
        let bytes = body(src, b)?;
        let rows_at = 4 + skip + 4;
        if bytes.len() < rows_at {
            return Err(IndexError::broken(format!("box {} is too short", b.name())));
        }
        let rows = be32(&bytes, 4 + skip) as usize;
        let fits = (bytes.len() - rows_at).checked_div(row).unwrap_or(usize::MAX);
        if rows > fits {
            return Err(IndexError::broken(format!(
                "box {} counts {rows} entries and has room for {fits}",
                b.name()
            )));
        }
        Ok(Table { bytes, rows_at, row, rows })
    }

    /// The 32-bit field at `at` of row `i`.
    pub fn u32(&self, i: usize, at: usize) -> u32 {
        be32(&self.bytes, self.rows_at + i * self.row + at)
    }

    /// The 64-bit field at `at` of row `i`.
    pub fn u64(&self, i: usize, at: usize) -> u64 {
        be64(&self.bytes, self.rows_at + i * self.row + at)
    }
}

/// A big-endian 32-bit number at `at`; the caller has checked the length.
pub(crate) fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// A big-endian 64-bit number at `at`; the caller has checked the length.
pub(crate) fn be64(bytes: &[u8], at: usize) -> u64 {
    (u64::from(be32(bytes, at)) << 32) | u64::from(be32(bytes, at + 4))
}
