//! Still pictures of a source: decoded frames at given times, posters, storyboards and previews.

mod frames;
mod poster;
mod preview;
mod sharpness;
mod sheet;
mod storyboard;

pub use frames::{Picture, read_pictures};
pub use poster::{Poster, poster};
pub use preview::preview;
pub use sheet::{Sheets, write_sheets};
pub use storyboard::{Board, BoardPart, board_part, single_files};
