//! System tests of the real program on real media.

mod audio;
mod bad_input;
mod certificate;
mod copy;
mod dead_letters;
mod disguise;
mod encode;
mod environment;
mod fixtures;
mod images;
mod interrupt;
mod layers;
mod map;
mod newest;
mod out_folder;
mod outputs;
mod pictures;
mod progress;
mod resume;
mod stream;
mod transcript;
mod verify;
