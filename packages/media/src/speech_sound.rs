//! Sound for speech recognition: 16 kHz mono, any range, the same samples in every process.
