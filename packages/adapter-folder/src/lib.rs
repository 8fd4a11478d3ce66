//! Media store in a folder of a local disk.
//!
//! ```text
//! ROOT/KEY                   the objects, each under its own key
//! ROOT/.tmp/OPENED/          temporary files of one open store
//! ROOT/.locks/OPENED         locked as long as that store is open
//! ROOT/.locks/open           one process opens at a time
//! ROOT/.locks/documents      one document is compared and swapped at a time
//! ```
//! Several processes may have the same folder open. It must be on a local disk: locks and
//! renames are not reliable on network file systems. A reader gets the path of the object itself.
//! No metadata is stored: the media type is that of the key's extension, and there is
//! no cache control.
//!
//! Architecture invariant: this crate depends on no database, no other adapter and no engine.

mod documents;
mod folder;
mod listing;
mod place;
mod private;
mod reading;
mod store;
mod temp;

pub use private::{make_private, open_lock};
pub use store::FolderStore;
