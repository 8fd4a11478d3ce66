//! Allocator settings: free memory is returned to the operating system.

/// Makes the allocator return large blocks to the operating system as soon as they are free. Call it once,
/// at the start of a program, before its threads.
///
/// By default glibc adapts its threshold (`M_MMAP_THRESHOLD`, mallopt(3)) to the first index that is
/// freed and keeps blocks of that size (up to 32 MiB) in the heap of each thread: the memory of a process
/// then grows with the longest source that it has read. Other C libraries have no such
/// threshold, and nothing is done.
pub fn give_back_large_blocks() {
    #[cfg(target_env = "gnu")]
    set_threshold();
}

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "a setting of the allocator, which has no safe name")]
fn set_threshold() {
    /// Blocks from this size on are mapped and unmapped one by one. It is glibc's initial threshold;
    /// a speech decoder keeps a list of 200 kB for each of its hypotheses, and with a threshold of 512 kB
    /// the heaps of a transcript grew by 30 MB in ten minutes.
    const LARGE_BYTES: i32 = 128 << 10;
    // SAFETY: sets a number; the allocator locks its own state. A refusal changes nothing.
    unsafe { nix::libc::mallopt(nix::libc::M_MMAP_THRESHOLD, LARGE_BYTES) };
}
