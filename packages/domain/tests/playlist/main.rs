//! Playlists: their text, their growth, foreign parsers, and the rules of RFC 8216.

mod bandwidth;
mod common;
mod document;
mod foreign;
mod growth;
mod refused;
mod rfc8216;
mod rules;
mod text;
