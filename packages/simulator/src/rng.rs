//! Numbers that look random and are a function of a seed.

/// A stream of numbers from a seed: splitmix64, small and good enough for dice.
#[derive(Debug, Clone)]
pub struct Rng(u64);

fn scramble(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Rng {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Rng {
        Rng(scramble(seed.wrapping_add(0x9E37_79B9_7F4A_7C15)))
    }

    /// The stream that belongs to `of` within this seed: what one part of a history draws
    /// does not move what another draws.
    pub fn of(seed: u64, of: &[u64]) -> Rng {
        Rng(of.iter().fold(scramble(seed ^ 0x51_7C_C1_B7_27_22_0A_95), |h, part| {
            scramble(h.rotate_left(17) ^ part.wrapping_add(0x9E37_79B9_7F4A_7C15))
        }))
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        scramble(self.0)
    }

    /// A number below `end`; 0 where that is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.draw() % end }
    }

    /// A number from `low` to `high`, both included.
    pub fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True `per_mille` times in a thousand.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// One of a list that is not empty.
    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_a_function_of_its_seed() {
        let three = |mut rng: Rng| [rng.draw(), rng.draw(), rng.draw()];
        assert_eq!(three(Rng::of(7, &[1, 2])), three(Rng::of(7, &[1, 2])));
        assert_ne!(three(Rng::of(7, &[1, 2])), three(Rng::of(7, &[2, 1])));
        assert_ne!(three(Rng::new(7)), three(Rng::new(8)));
        let mut rng = Rng::new(1);
        assert!((0..1000).all(|_| (3..=5).contains(&rng.within(3, 5))));
        assert_eq!((0..1000).filter(|_| rng.chance(0)).count(), 0);
        assert_eq!((0..1000).filter(|_| rng.chance(1000)).count(), 1000);
    }
}
