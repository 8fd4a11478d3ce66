//! System tests: the real program on real media.
