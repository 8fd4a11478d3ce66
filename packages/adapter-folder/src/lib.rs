//! Media store in a folder of a local disk.
//!
//! ```text
//! ROOT/KEY                   the objects, each under its own key
//! ROOT/.tmp/OPENED/          temporary files of one open store
//! ROOT/.locks/OPENED         locked as long as that store is open
//! ROOT/.locks/open           one process opens at a time
//! ROOT/.locks/documents      one document is compared and swapped at a time
//! ```
//! Several processes may have the same folder open. It must lie on a local disk: locks and
//! renames are not to be relied on over a network. A reader gets the path of the object itself.
//! Nothing is kept beside the bytes: the media type is that of the key's extension, and there is
//! no cache control.
//!
//! Architecture invariant: no database, no other adapter and no engine is known here.

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
