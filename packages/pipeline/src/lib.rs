//! The roles: chunker, worker, reassembler and sweeper.
