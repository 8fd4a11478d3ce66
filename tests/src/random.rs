//! Reproducible random numbers.

/// xorshift64*.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator with this seed.
    pub fn new(seed: u64) -> Random {
        Random(seed.max(1))
    }

    /// A generator with the seed `SEGUE_TEST_SEED`, else `default`; prints the seed.
    pub fn seeded(default: u64) -> Random {
        let seed =
            std::env::var("SEGUE_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(default);
        println!("SEGUE_TEST_SEED={seed}");
        Random::new(seed)
    }

    /// A number from 0 to below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end.max(1)
    }

    /// `count` random bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.below(256) as u8).collect()
    }
}
