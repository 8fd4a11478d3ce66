//! The still picture: one frame that stands for the whole.
